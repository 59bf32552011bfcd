/* Counts instructions by kind of work and measures stacks, on an emulated processor: see meter.c. */
#ifndef BUDGETS_METER_H
#define BUDGETS_METER_H

#include <stdint.h>

/* Whose instructions these are. HARNESS is this program's own work inside of a measured stretch. */
enum { METER_GLUE, METER_OPUS, METER_CRYPTO, METER_DTLS, METER_HARNESS, METER_KINDS };

typedef struct {
    uint64_t instructions[METER_KINDS];
} meter_sum_t;

void meter_start(void);                /* once, before anything else */
void meter_begin(void);                /* a measured stretch begins, as GLUE */
void meter_end(meter_sum_t *sum);      /* it ends and is added to *sum */
int meter_enter(int kind);             /* returns what meter_leave wants */
void meter_leave(int was);
void meter_handshaking(int is_so);     /* while it is, linnet_dtls_* counts as DTLS */
uint64_t meter_total(const meter_sum_t *sum); /* without HARNESS */

/* Stack: every public function called from here on is measured by painting. */
void meter_paint(int on);
void meter_print_stacks(void);
/* For a stretch that calls Opus without a public function around it: what Opus takes from here on. */
void meter_opus_afresh(void);
uint32_t meter_opus_stack(void);

#endif
