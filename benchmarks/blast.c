/* Sends the frames of a pcap file over an interface at a steady rate, over and over.
 *
 *   blast INTERFACE FILE PACKETS_PER_SECOND SECONDS [SHARE]
 *
 * SHARE, from 0 to 1, is how far into the file to begin: two senders at once are not to send the same.
 * Prints how many were sent, and the seconds it took. A packet socket and sendmmsg: about 0.5 us a packet.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define TICK_NS 1000000L

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) { perror(path); exit(1); }
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*size);
    if (!data || fread(data, 1, *size, f) != *size) { perror("read"); exit(1); }
    fclose(f);
    return data;
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: blast INTERFACE FILE PACKETS_PER_SECOND SECONDS [SHARE]\n");
        return 2;
    }
    size_t size;
    char *data = read_file(argv[2], &size);
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    struct iovec *frames = malloc(sizeof *frames * (size / 16 + 1));
    size_t count = 0;
    for (size_t at = 24; at + 16 <= size; count++) {
        uint32_t length;
        memcpy(&length, data + at + 8, 4);
        frames[count].iov_base = data + at + 16;
        frames[count].iov_len = length;
        at += 16 + length;
    }
    size_t first = argc == 6 ? (size_t)(atof(argv[5]) * (double)count) : 0;
    int s = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    if (s < 0 || bind(s, (struct sockaddr *)&to, sizeof to)) { perror("packet socket"); return 1; }
    int yes = 1, room = 1 << 22;
    setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
    setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    int64_t began = now_ns(), until = began + (int64_t)(seconds * 1e9), next = began;
    uint64_t sent = 0;
    while (now_ns() < until) {
        uint64_t due = (uint64_t)((double)(now_ns() - began) * rate / 1e9);
        while (sent < due) {
            int batch = due - sent < BATCH ? (int)(due - sent) : BATCH;
            for (int i = 0; i < batch; i++) {
                messages[i].msg_hdr.msg_iov = &frames[(first + sent + i) % count];
                messages[i].msg_hdr.msg_iovlen = 1;
            }
            int done = sendmmsg(s, messages, (unsigned)batch, 0);
            if (done > 0) sent += (uint64_t)done;
            else if (errno != ENOBUFS && errno != EAGAIN) { perror("sendmmsg"); return 1; }
            if (now_ns() >= until) break;
        }
        next += TICK_NS;
        struct timespec wake = {next / 1000000000L, next % 1000000000L};
        if (next > now_ns()) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
        else next = now_ns();
    }
    printf("%llu %.6f\n", (unsigned long long)sent, (double)(now_ns() - began) / 1e9);
    return 0;
}
