/* Microphone and speaker of an ESP32 board: I2S standard mode with ESP-IDF 5.x (driver/i2s_std.h), never blocking.
 *
 * Pins, ports, bits and DMA sizes are LINNET_I2S_* of the board's board.h (boards/gen.py). Both directions use whole
 * stereo frames and pick or double the slot in software (i2s_words.c): the mono modes differ between chips. What the
 * DMA lost is counted by its interrupts: received buffers that nobody fetched, and buffers sent that nobody had
 * filled (auto_clear makes them silence). Codec chips are set up over I2C by firmware/drivers before a call. */
#ifdef ESP_PLATFORM
#include <string.h>

#include "audio_device.h"
#include "audio_ring.h"
#include "board.h"
#include "driver/i2s_std.h"
#include "errors.h"
#include "esp_attr.h"
#include "i2s_words.h"

#ifndef LINNET_I2S_IN_GAIN_LOG2
#define LINNET_I2S_IN_GAIN_LOG2 0
#endif

enum {
    PIECE = 160,                            /* frames converted at once, x 8 B */
    STAGE = LINNET_I2S_DMA_FRAMES * 2 + 960 /* samples made that no DMA buffer has taken yet */
};

typedef struct {
    i2s_chan_handle_t out, in;
    linnet_i2s_format_t format;
    linnet_ring_t stage;
    linnet_audio_counts_t counts;
    uint64_t sent, given;          /* frames since start: that the wire took, that play got */
    uint32_t ahead_ms, ahead;      /* ahead: in frames */
    uint32_t sent_seen, lost_seen; /* of the interrupts' counters, which wrap */
    volatile uint32_t sent_buffers, lost_bytes; /* written by interrupts only */
    uint8_t is_taken, is_open;
    int16_t stage_pcm[STAGE];
    uint32_t words[PIECE * 2];
} i2s_device_t;

static i2s_device_t the_device; /* the machine has one */

/* --- interrupts --- */

static bool IRAM_ATTR on_sent(i2s_chan_handle_t channel, i2s_event_data_t *event, void *context) {
    i2s_device_t *d = context;
    (void)channel;
    (void)event;
    d->sent_buffers = d->sent_buffers + 1;
    return false;
}

static bool IRAM_ATTR on_lost(i2s_chan_handle_t channel, i2s_event_data_t *event, void *context) {
    i2s_device_t *d = context;
    (void)channel;
    d->lost_bytes = d->lost_bytes + (uint32_t)event->size;
    return false;
}

/* --- opening --- */

static void close_channel(i2s_chan_handle_t *channel) {
    if (!*channel) return;
    (void)i2s_channel_disable(*channel); /* of one that never ran: refused, and no harm */
    (void)i2s_del_channel(*channel);
    *channel = NULL;
}

static void i2s_stop(void *context) {
    i2s_device_t *d = context;
    d->is_open = 0;
    close_channel(&d->out);
    close_channel(&d->in);
}

static gpio_num_t pin(int number) {
    return number < 0 ? I2S_GPIO_UNUSED : (gpio_num_t)number;
}

static esp_err_t new_channels(int port, i2s_chan_handle_t *out, i2s_chan_handle_t *in) {
    i2s_chan_config_t c =
        I2S_CHANNEL_DEFAULT_CONFIG((i2s_port_t)port,
                                   LINNET_I2S_SLAVE ? I2S_ROLE_SLAVE : I2S_ROLE_MASTER);
    c.dma_desc_num = LINNET_I2S_DMA_COUNT;
    c.dma_frame_num = LINNET_I2S_DMA_FRAMES;
    c.auto_clear = true;
    return i2s_new_channel(&c, out, in);
}

/* Pins of a port: of the duplex one both data pins, else those of its direction. */
static esp_err_t init_channel(i2s_chan_handle_t channel, uint32_t rate_hz, int is_in,
                              int is_duplex) {
    const i2s_data_bit_width_t bits =
        LINNET_I2S_SLOT_BITS == 16 ? I2S_DATA_BIT_WIDTH_16BIT : I2S_DATA_BIT_WIDTH_32BIT;
    i2s_std_config_t c = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(rate_hz),
        .slot_cfg = I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(bits, I2S_SLOT_MODE_STEREO),
    };
    const int is_second = is_in && !is_duplex && LINNET_I2S_OUT_DATA >= 0;
    c.clk_cfg.mclk_multiple = (i2s_mclk_multiple_t)LINNET_I2S_MCLK_MULTIPLE;
    /* The master clock leaves by one port only. */
    c.gpio_cfg.mclk = is_second ? I2S_GPIO_UNUSED : pin(LINNET_I2S_MCLK);
    c.gpio_cfg.bclk = pin(is_in ? LINNET_I2S_IN_BCK : LINNET_I2S_OUT_BCK);
    c.gpio_cfg.ws = pin(is_in ? LINNET_I2S_IN_WS : LINNET_I2S_OUT_WS);
    c.gpio_cfg.dout = !is_in || is_duplex ? pin(LINNET_I2S_OUT_DATA) : I2S_GPIO_UNUSED;
    c.gpio_cfg.din = is_in || is_duplex ? pin(LINNET_I2S_IN_DATA) : I2S_GPIO_UNUSED;
    return i2s_channel_init_std_mode(channel, &c);
}

static esp_err_t open_channels(i2s_device_t *d, uint32_t rate_hz) {
    const i2s_event_callbacks_t out_calls = {.on_sent = on_sent};
    const i2s_event_callbacks_t in_calls = {.on_recv_q_ovf = on_lost};
    int plan = linnet_i2s_plan(LINNET_I2S_OUT_DATA, LINNET_I2S_IN_DATA, LINNET_I2S_OUT_PORT,
                               LINNET_I2S_IN_PORT, LINNET_I2S_SHARED_CLOCKS);
    int is_duplex = plan == LINNET_I2S_DUPLEX;
    esp_err_t rc = ESP_OK;
    if (plan <= LINNET_I2S_NOTHING) return ESP_ERR_INVALID_ARG;
    if (is_duplex) {
        rc = new_channels(LINNET_I2S_OUT_PORT, &d->out, &d->in);
    } else {
        if (plan != LINNET_I2S_IN_ONLY) rc = new_channels(LINNET_I2S_OUT_PORT, &d->out, NULL);
        if (rc == ESP_OK && plan != LINNET_I2S_OUT_ONLY)
            rc = new_channels(LINNET_I2S_IN_PORT, NULL, &d->in);
    }
    if (rc == ESP_OK && d->out) rc = init_channel(d->out, rate_hz, 0, is_duplex);
    if (rc == ESP_OK && d->in) rc = init_channel(d->in, rate_hz, 1, is_duplex);
    if (rc == ESP_OK && d->out) rc = i2s_channel_register_event_callback(d->out, &out_calls, d);
    if (rc == ESP_OK && d->in) rc = i2s_channel_register_event_callback(d->in, &in_calls, d);
    if (rc == ESP_OK && d->out) rc = i2s_channel_enable(d->out);
    if (rc == ESP_OK && d->in) rc = i2s_channel_enable(d->in);
    return rc;
}

static int i2s_start(void *context, uint32_t rate_hz, uint64_t now_us) {
    i2s_device_t *d = context;
    int bytes;
    (void)now_us;                                          /* the codec's clock counts */
    if (rate_hz != LINNET_I2S_RATE) return LINNET_ERR_ARG; /* what the codec was set up for */
    d->format.rate_hz = rate_hz;
    bytes = linnet_i2s_dma_bytes(&d->format, d->ahead_ms);
    if (bytes < 0) return bytes;
    d->ahead = (uint32_t)((uint64_t)d->ahead_ms * rate_hz / 1000);
    linnet_ring_drop(&d->stage, d->stage.n); /* of a sound before */
    d->sent = d->given = 0;
    d->sent_seen = d->sent_buffers;
    d->lost_seen = d->lost_bytes;
    if (open_channels(d, rate_hz) != ESP_OK) {
        i2s_stop(d);
        return LINNET_ERR_STATE;
    }
    d->is_open = 1;
    return 0;
}

/* --- moving samples --- */

static size_t i2s_capture(void *context, uint64_t now_us, int16_t *pcm, size_t n) {
    i2s_device_t *d = context;
    const size_t each = linnet_i2s_frame_bytes(&d->format);
    uint32_t lost = d->lost_bytes;
    size_t done = 0;
    (void)now_us;
    d->counts.microphone_lost += (lost - d->lost_seen) / each;
    d->lost_seen = lost;
    while (d->in && done < n) {
        size_t want = n - done < PIECE ? n - done : PIECE, got = 0;
        (void)i2s_channel_read(d->in, d->words, want * each, &got, 0); /* a timeout is no error */
        linnet_i2s_from_words(&d->format, d->words, got / each, pcm + done);
        done += got / each;
        if (got < want * each) break;
    }
    return done;
}

/* What was made into the DMA buffers that are free. */
static void flush(i2s_device_t *d) {
    const size_t each = linnet_i2s_frame_bytes(&d->format);
    while (d->stage.n) {
        size_t part = PIECE, written = 0;
        const int16_t *oldest = linnet_ring_look(&d->stage, &part);
        linnet_i2s_to_words(&d->format, oldest, part, d->words);
        (void)i2s_channel_write(d->out, d->words, part * each, &written, 0);
        linnet_ring_drop(&d->stage, written / each);
        if (written < part * each) return;
    }
}

static size_t i2s_room(void *context, uint64_t now_us) {
    i2s_device_t *d = context;
    uint32_t buffers = d->sent_buffers;
    uint64_t ahead;
    (void)now_us;
    if (!d->out) return 0;
    flush(d);
    d->sent += (uint64_t)(buffers - d->sent_seen) * LINNET_I2S_DMA_FRAMES;
    d->sent_seen = buffers;
    if (d->sent > d->given) { /* the wire ran dry: silence was heard */
        d->counts.speaker_starved += d->sent - d->given;
        d->given = d->sent;
    }
    ahead = d->given - d->sent;
    return ahead < d->ahead ? (size_t)(d->ahead - ahead) : 0;
}

static size_t i2s_play(void *context, const int16_t *pcm, size_t n) {
    i2s_device_t *d = context;
    size_t put = linnet_ring_put(&d->stage, pcm, n);
    d->counts.speaker_lost += n - put;
    d->given += n;
    flush(d);
    return n;
}

static void i2s_counts(const void *context, linnet_audio_counts_t *counts) {
    const i2s_device_t *d = context;
    *counts = d->counts;
}

/* --- the machine's device --- */

int linnet_audio_machine_take(linnet_audio_device_t *device, uint32_t ahead_ms) {
    i2s_device_t *d = &the_device;
    if (d->is_taken) return LINNET_ERR_AGAIN;
    memset(d, 0, sizeof *d);
    d->is_taken = 1;
    d->ahead_ms = ahead_ms;
    d->format.slot_bits = LINNET_I2S_SLOT_BITS;
    d->format.in_bits = LINNET_I2S_IN_BITS;
    d->format.is_right = LINNET_I2S_IN_RIGHT;
    d->format.gain_log2 = LINNET_I2S_IN_GAIN_LOG2;
    d->format.dma_frames = LINNET_I2S_DMA_FRAMES;
    d->format.dma_count = LINNET_I2S_DMA_COUNT;
    d->stage.pcm = d->stage_pcm;
    d->stage.cap = STAGE;
    device->context = d;
    device->start = i2s_start;
    device->stop = i2s_stop;
    device->capture = i2s_capture;
    device->room = i2s_room;
    device->play = i2s_play;
    device->counts = i2s_counts;
    return 0;
}

void linnet_audio_machine_give(linnet_audio_device_t *device) {
    i2s_stop(device->context);
    the_device.is_taken = 0;
}
#else
typedef int linnet_i2s_esp32_is_empty;
#endif
