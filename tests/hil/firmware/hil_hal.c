/* What MicroPython's qemu port lacks of a board: a clock, an input buffer that knows when something waits, sleep
 * while nothing happens, Ctrl-C, a seedable urandom. For the two machines of tests/hil (mps2-an385, virt).
 *
 * The port's own functions of the same names are replaced at link time (--wrap). Interrupts stay disabled for
 * good: wfi wakes on a pending one all the same, so there is no handler and no race. */
#include "hil_hal.h"

#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/runtime/interrupt_char.h"

#include "crypto.h"
#include "uart.h"

enum { POLL_RD = 1, POLL_WR = 4, TICK_HZ = 1000, STACK_LIMIT = 48 * 1024 };

#define REG32(address) (*(volatile uint32_t *)(address))

#if defined(QEMU_SOC_MPS2)

enum { CLOCK_HZ = 25000000 };
#define FPGAIO_COUNTER REG32(0x40028018)
#define UART_CTRL REG32(0x40004008)
#define UART_INTCLEAR REG32(0x4000400c)
#define SYST_CSR REG32(0xe000e010)
#define SYST_RVR REG32(0xe000e014)
#define NVIC_ISER REG32(0xe000e100)
#define NVIC_ICPR REG32(0xe000e280)
#define SCB_ICSR REG32(0xe000ed04)

/* The counter has 32 bits, 171 s: idle or not, the board looks at it more often. */
static uint64_t clock_now(void) {
    static uint32_t last, wraps;
    uint32_t now = FPGAIO_COUNTER;
    if (now < last) wraps++;
    last = now;
    return (uint64_t)wraps << 32 | now;
}

static void wake_setup(void) {
    __asm volatile("cpsid i");
    SYST_RVR = CLOCK_HZ / TICK_HZ - 1;
    SYST_CSR = 7;         /* processor clock, interrupt, enabled */
    UART_CTRL |= 1u << 3; /* receive interrupt */
    NVIC_ISER = 1;        /* UART 0 receive */
}

static void sleep_until_something(void) {
    __asm volatile("wfi");
    SCB_ICSR = 1u << 25; /* PENDSTCLR */
    UART_INTCLEAR = 2;
    NVIC_ICPR = 1;
}

#elif defined(QEMU_SOC_VIRT)

enum { CLOCK_HZ = 10000000, UART_IRQ = 10 };
#define MTIME_LOW REG32(0x0200bff8)
#define MTIME_HIGH REG32(0x0200bffc)
#define MTIMECMP_LOW REG32(0x02004000)
#define MTIMECMP_HIGH REG32(0x02004004)
#define PLIC_PRIORITY(irq) REG32(0x0c000000 + 4 * (irq))
#define PLIC_ENABLE REG32(0x0c002000)
#define PLIC_THRESHOLD REG32(0x0c200000)
#define PLIC_CLAIM REG32(0x0c200004)
#define UART_IER (*(volatile uint8_t *)0x10000001)
#define UART_FCR (*(volatile uint8_t *)0x10000002)

static uint64_t clock_now(void) {
    uint32_t high, low;
    do {
        high = MTIME_HIGH;
        low = MTIME_LOW;
    } while (MTIME_HIGH != high);
    return (uint64_t)high << 32 | low;
}

static void wake_setup(void) {
    __asm volatile("csrci mstatus, 8");          /* MIE off */
    __asm volatile("csrs mie, %0" ::"r"(0x880)); /* but MTIE and MEIE on: they end a wfi */
    PLIC_PRIORITY(UART_IRQ) = 1;
    PLIC_ENABLE = 1u << UART_IRQ;
    PLIC_THRESHOLD = 0;
    UART_IER = 1; /* receive interrupt */
    UART_FCR = 1; /* 16 bytes at a time instead of one: qemu then takes a turn of its main loop for 16 */
}

static void sleep_until_something(void) {
    uint64_t wake = clock_now() + CLOCK_HZ / TICK_HZ;
    MTIMECMP_HIGH = UINT32_MAX;
    MTIMECMP_LOW = (uint32_t)wake;
    MTIMECMP_HIGH = (uint32_t)(wake >> 32);
    __asm volatile("wfi");
    uint32_t irq = PLIC_CLAIM;
    if (irq != 0) PLIC_CLAIM = irq;
}

#endif

/* --- input --- */

static uint8_t ring[8192];
static uint16_t ring_head, ring_tail;

uint32_t hil_turns; /* of MicroPython's loop */

static bool ring_is_full(void) {
    return (uint16_t)((ring_head + 1) % sizeof ring) == ring_tail;
}

void hil_pump(void) {
    while (!ring_is_full()) {
        int c = uart_rx_chr();
        if (c < 0) return;
        if (c == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            ring[ring_head] = (uint8_t)c;
            ring_head = (uint16_t)((ring_head + 1) % sizeof ring);
        }
    }
}

void hil_idle(void) {
    hil_pump();
    if (ring_head == ring_tail) sleep_until_something();
    hil_pump();
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    if (ring_head == ring_tail) hil_pump();
    return (ring_head != ring_tail ? flags & POLL_RD : 0) | (flags & POLL_WR);
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    if (ring_head == ring_tail) hil_pump();
    while (ring_head == ring_tail) {
        mp_handle_pending(true);
        hil_idle();
    }
    int c = ring[ring_tail];
    ring_tail = (uint16_t)((ring_tail + 1) % sizeof ring);
    return c;
}

/* --- time --- */

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)(clock_now() / (CLOCK_HZ / 1000000));
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(clock_now() / (CLOCK_HZ / 1000));
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return (mp_uint_t)clock_now();
}

static uint64_t started_ns; /* since 1970; unknown until somebody says */

void hil_set_time(uint64_t unix_s) {
    started_ns = unix_s * 1000000000 - clock_now() * (1000000000 / CLOCK_HZ);
}

uint64_t mp_hal_time_ns(void) {
    return started_ns + clock_now() * (1000000000 / CLOCK_HZ);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = clock_now() + (uint64_t)us * (CLOCK_HZ / 1000000);
    while (clock_now() < end) mp_event_handle_nowait();
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = clock_now() + (uint64_t)ms * (CLOCK_HZ / 1000);
    while (clock_now() < end) mp_event_wait_ms(1);
}

/* --- randomness --- */

static linnet_rng_t rng;
static bool is_seeded;

bool hil_seed(const uint8_t *seed, size_t len) {
    is_seeded = linnet_rng_init(&rng, seed, len) == 0;
    return is_seeded;
}

bool hil_random(uint8_t *out, size_t len) {
    if (is_seeded) linnet_random(&rng, out, len);
    return is_seeded;
}

/* --- start --- */

void hil_init(void) {
    wake_setup();
    ring_head = ring_tail = 0;
}

/* The port allows 10 KiB of Python's stack; the linker scripts here give more. */
void __real_mp_stack_set_limit(mp_uint_t limit);
void __wrap_mp_stack_set_limit(mp_uint_t limit) {
    (void)limit;
    __real_mp_stack_set_limit(STACK_LIMIT);
}
