/* flood MEGABYTES REPORT: lines of 100 bytes as fast as standard output takes them; the seconds it took go to REPORT.
   The time is the writer's own, so the start of a shell and the end of a job are not in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char block[64000];
    if (argc < 3)
        return 2;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = i % 100 == 99 ? '\n' : 'a' + i % 26;
    long left = atol(argv[1]) * 1000000;
    double began = now();
    while (left > 0) {
        size_t want = left < (long)sizeof block ? (size_t)left : sizeof block;
        ssize_t put = write(1, block, want);
        if (put <= 0)
            return 1;
        left -= put;
    }
    double took = now() - began;
    FILE *report = fopen(argv[2], "w");
    if (!report)
        return 1;
    fprintf(report, "%.6f\n", took);
    return fclose(report) ? 1 : 0;
}
