/* audio_device.h: what the media loop asks of a microphone and a speaker, mono, int16, at one rate.
 *
 * A device is a context pointer and six functions, called by the loop with its lock held, so none of them may
 * block: capture gives what is there, play takes what there is room for. now_us is CLOCK_MONOTONIC; devices with a
 * clock of their own do not look at it. Behind it stand the rings of audio_ring.c (files, PortAudio, tests) and the
 * device of the machine (i2s_esp32.c; a machine without one links audio_none.c). */
#ifndef LINNET_AUDIO_DEVICE_H
#define LINNET_AUDIO_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/* Samples that did not make it, counted one by one. */
typedef struct {
    uint64_t microphone_lost; /* recorded, but the loop was too late to take them */
    uint64_t
        microphone_starved; /* the loop needed them and the microphone had none: silence was sent */
    uint64_t speaker_lost;  /* made, but nobody took them in time */
    uint64_t
        speaker_starved; /* the speaker needed them and the loop had made none: silence was heard */
} linnet_audio_counts_t;

typedef struct {
    void *context;
    /* 0, or LINNET_ERR_*: nothing stays open then. */
    int (*start)(void *context, uint32_t rate_hz, uint64_t now_us);
    /* May be called twice, and before start. */
    void (*stop)(void *context);
    /* Takes up to n samples of what the microphone has heard; returns how many. */
    size_t (*capture)(void *context, uint64_t now_us, int16_t *pcm, size_t n);
    /* Samples that play would take now: few, because each one waits before it is heard. */
    size_t (*room)(void *context, uint64_t now_us);
    size_t (*play)(void *context, const int16_t *pcm, size_t n);
    void (*counts)(const void *context, linnet_audio_counts_t *counts);
} linnet_audio_device_t;

/* The device of this machine, which exists once. ahead_ms: sound to keep ahead of the speaker. 0, LINNET_ERR_STATE
 * where there is none, LINNET_ERR_AGAIN while another loop has it. */
int linnet_audio_machine_take(linnet_audio_device_t *device, uint32_t ahead_ms);
void linnet_audio_machine_give(linnet_audio_device_t *device);

#endif
