/* A machine whose sound devices the loop cannot reach by itself: it has the rings only. */
#ifndef ESP_PLATFORM
#include "audio_device.h"
#include "errors.h"

int linnet_audio_machine_take(linnet_audio_device_t *device, uint32_t ahead_ms) {
    (void)device;
    (void)ahead_ms;
    return LINNET_ERR_STATE;
}

void linnet_audio_machine_give(linnet_audio_device_t *device) {
    (void)device;
}
#else
typedef int linnet_audio_none_is_empty;
#endif
