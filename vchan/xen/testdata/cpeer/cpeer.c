/*
 * The other end for vchan/xen's proof: a program on Debian's libxenvchan.
 *
 *   cpeer ROLE DOMID PATH MODE BYTES [options]
 *
 * ROLE   server or client
 * DOMID  the other domain
 * PATH   xenstore path of the offer
 * MODE   echo     send back what comes, until the peer goes
 *        pattern  send BYTES of pattern(seed) and at once expect BYTES of pattern(seed + 1)
 *                 (the server; the client has it the other way round), then see --close
 *        send     send BYTES of pattern(seed), wait for one byte, print the speed
 *        recv     expect BYTES of pattern(seed), send one byte, print the speed; both also print
 *                 how many events this end has sent from the connection on
 * Options:
 *   --left N --right N  least sizes of the rings in bytes, for a server (default 2048 and 1024);
 *                       a power of two gives that order: 1024, 2048, 4096, 65536 are 10, 11, 12, 16
 *   --seed N            of the pattern (default 1) and of the portions' sizes
 *   --most N            the largest portion in bytes (default 9000)
 *   --plain             with send and recv, for benchmarks: portions of --most bytes each, whatever
 *                       is in them
 *   --nonblock          do not let the library wait: poll(2) its descriptor instead
 *   --close MODE        first: close when all is done; last (default): wait for the peer to close
 *   --hang              when all is done, neither close nor end: to be killed
 *
 * Status 0: all is right. 1: it is not, the reason is on stderr. 2: used wrongly.
 *
 * pattern(seed): x0 = seed, x' = x * 6364136223846793005 + 1442695040888963407 (mod 2^64), one
 * byte from each x', its bits 56 to 63.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <libxenvchan.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_TRIES 3000 /* 10 ms apart: the server may not have offered yet */

struct pattern {
    uint64_t x;
};

static unsigned char next(struct pattern *p)
{
    p->x = p->x * 6364136223846793005ull + 1442695040888963407ull;
    return p->x >> 56;
}

static void fail(const char *what)
{
    fprintf(stderr, "cpeer: %s (errno %d: %s)\n", what, errno, strerror(errno));
    exit(1);
}

static void usage(void)
{
    fputs("usage: cpeer server|client DOMID PATH echo|pattern|send|recv BYTES [--left N] [--right N]\n"
          "             [--seed N] [--most N] [--plain] [--nonblock] [--close first|last] [--hang]\n", stderr);
    exit(2);
}

static unsigned long events; /* sent */

/* The library's calls come here: a program's own definition goes before a library's. */
int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    static int (*real)(xenevtchn_handle *, evtchn_port_t);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "xenevtchn_notify");
    if (!real) {
        errno = ENOSYS;
        return -1;
    }
    events++;
    return real(xce, port);
}

static struct libxenvchan *vchan;
static int nonblock;
static size_t most = 9000;
static unsigned char *buffer;

/* Sleeps until the library has something to say. Not for a channel that blocks. */
static void await(void)
{
    struct pollfd p = { .fd = libxenvchan_fd_for_select(vchan), .events = POLLIN };

    if (poll(&p, 1, 30000) <= 0)
        fail("nothing happens for 30 s");
    libxenvchan_wait(vchan); /* takes the event and unmasks the port */
}

static size_t portion(uint64_t left)
{
    size_t n = 1 + (size_t)random() % most;

    return n < left ? n : left;
}

/* Both directions at once: neither waits for the other one. Counts are what is still to come. */
static void run(uint64_t out, struct pattern *ours, uint64_t in, struct pattern *theirs)
{
    unsigned char *waiting = buffer + most; /* made, not yet taken by the ring */
    size_t have = 0, at = 0;

    while (out > 0 || have > 0 || in > 0) {
        int moved = 0, n;

        if (have == 0 && out > 0) {
            have = portion(out);
            at = 0;
            for (size_t i = 0; i < have; i++)
                waiting[i] = next(ours);
            out -= have;
        }
        if (have > 0) {
            /* A blocking write would wait for room while the peer waits for us to read. */
            int room = libxenvchan_buffer_space(vchan);
            size_t want = have;

            if (!nonblock && in > 0 && (size_t)room < want)
                want = room > 0 ? (size_t)room : 0;
            if (want > 0) {
                n = libxenvchan_write(vchan, waiting + at, want);
                if (n < 0)
                    fail("write");
                at += n;
                have -= n;
                moved |= n > 0;
            }
        }
        if (in > 0 && (nonblock || libxenvchan_data_ready(vchan) > 0 || (out == 0 && have == 0))) {
            n = libxenvchan_read(vchan, buffer, portion(in));
            if (n < 0 && libxenvchan_data_ready(vchan) > 0)
                continue; /* the peer wrote and went while the library looked: see below */
            if (n < 0)
                fail("read");
            for (int i = 0; i < n; i++)
                if (buffer[i] != next(theirs))
                    fail("a byte is not the right one");
            in -= n;
            moved |= n > 0;
        }
        if (!moved) {
            if (!libxenvchan_is_open(vchan)) {
                if (in > 0 && libxenvchan_data_ready(vchan) > 0)
                    continue; /* its last bytes came after the read and before it went */
                fail("the peer went too early");
            }
            if (nonblock)
                await();
            else
                libxenvchan_wait(vchan);
        }
    }
}

/* Moves n bytes one way, whatever is in them. For a channel that blocks. */
static void plain(int out, uint64_t n)
{
    while (n > 0) {
        size_t want = n < most ? n : most;
        int moved = out ? libxenvchan_write(vchan, buffer, want) : libxenvchan_read(vchan, buffer, want);

        if (moved <= 0)
            fail(out ? "write" : "read");
        n -= moved;
    }
}

static void echo(void)
{
    while (1) {
        int n = libxenvchan_read(vchan, buffer, most), at = 0;

        while (n == 0 && nonblock) {
            if (!libxenvchan_is_open(vchan))
                return;
            await();
            n = libxenvchan_read(vchan, buffer, most);
        }
        if (n <= 0)
            return; /* gone */
        while (at < n) {
            int w = libxenvchan_write(vchan, buffer + at, n - at);

            if (w < 0 || (w == 0 && !libxenvchan_is_open(vchan)))
                return;
            if (w == 0)
                await();
            at += w;
        }
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t number(const char *s)
{
    char *end;
    uint64_t n = strtoull(s, &end, 10);

    if (!*s || *end)
        usage();
    return n;
}

int main(int argc, char **argv)
{
    size_t left = 2048, right = 1024;
    uint64_t seed = 1, bytes;
    int server, first = 0, hang = 0, bulk = 0, domid;
    const char *path, *mode;
    double begin;

    if (argc < 6)
        usage();
    server = !strcmp(argv[1], "server");
    if (!server && strcmp(argv[1], "client"))
        usage();
    domid = number(argv[2]);
    path = argv[3];
    mode = argv[4];
    bytes = number(argv[5]);
    for (int i = 6; i < argc; i++) {
        int more = i + 1 < argc;

        if (!strcmp(argv[i], "--nonblock"))
            nonblock = 1;
        else if (!strcmp(argv[i], "--plain"))
            bulk = 1;
        else if (!strcmp(argv[i], "--hang"))
            hang = 1;
        else if (!strcmp(argv[i], "--left") && more)
            left = number(argv[++i]);
        else if (!strcmp(argv[i], "--right") && more)
            right = number(argv[++i]);
        else if (!strcmp(argv[i], "--seed") && more)
            seed = number(argv[++i]);
        else if (!strcmp(argv[i], "--most") && more)
            most = number(argv[++i]);
        else if (!strcmp(argv[i], "--close") && more)
            first = !strcmp(argv[++i], "first");
        else
            usage();
    }
    if ((bulk && nonblock) || most == 0 || !(buffer = malloc(2 * most)))
        usage();
    srandom(seed);

    if (server) {
        vchan = libxenvchan_server_init(NULL, domid, path, left, right);
    } else {
        for (int i = 0; !vchan && i < CONNECT_TRIES; i++) {
            if (i)
                usleep(10000);
            vchan = libxenvchan_client_init(NULL, domid, path);
        }
    }
    if (!vchan)
        fail(server ? "server_init" : "client_init");
    vchan->blocking = !nonblock;
    printf("ready\n");
    fflush(stdout);
    while (libxenvchan_is_open(vchan) == 2)
        libxenvchan_wait(vchan);

    events = 0;
    begin = now();
    if (!strcmp(mode, "echo")) {
        echo();
        first = 1;
    } else if (!strcmp(mode, "pattern")) {
        struct pattern a = { seed }, b = { seed + 1 };

        run(bytes, server ? &a : &b, bytes, server ? &b : &a);
    } else if (!strcmp(mode, "send") || !strcmp(mode, "recv")) {
        int out = mode[0] == 's';
        struct pattern a = { seed }, b = { seed + 1 };

        if (bulk)
            plain(out, bytes);
        else
            run(out ? bytes : 0, &a, out ? 0 : bytes, &a);
        run(out ? 0 : 1, &b, out ? 1 : 0, &b);
        begin = now() - begin;
        printf("%s %llu bytes in %.6f s, %.2f MB/s, %lu events\n", mode, (unsigned long long)bytes, begin, bytes / begin / 1e6, events);
    } else {
        usage();
    }
    printf("done\n");
    fflush(stdout);
    if (hang)
        while (1)
            pause();
    if (!first) {
        char rest;

        /* blocking == 0 or 1: the end comes as an event */
        while (libxenvchan_is_open(vchan) == 1) {
            if (libxenvchan_data_ready(vchan) > 0 && libxenvchan_read(vchan, &rest, 1) == 1)
                fail("more than was to come");
            libxenvchan_wait(vchan);
        }
    }
    libxenvchan_close(vchan);
    return 0;
}
