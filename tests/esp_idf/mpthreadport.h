/* Declarations for a compile check only: see README.md. */
#pragma once
typedef struct { void *handle; } mp_thread_mutex_t;
typedef struct { void *handle; } mp_thread_recursive_mutex_t;
