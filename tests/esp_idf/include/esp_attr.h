/* Declarations for a compile check only: see ../README.md. */
#pragma once
#define IRAM_ATTR
#define DRAM_ATTR
