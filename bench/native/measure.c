/* measure REPORT COMMAND...: "CPU seconds, elapsed seconds, largest resident KiB" of COMMAND and all it waited for.
   A program apart, because Linux counts the memory of whoever forks as the child's own largest. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec from, to;
    struct rusage used;
    int status;
    if (argc < 3)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (wait4(child, &status, 0, &used) < 0)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &to);
    FILE *report = fopen(argv[1], "w");
    if (!report)
        return 1;
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    double elapsed = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
    long resident = used.ru_maxrss;
#ifdef __APPLE__
    resident /= 1024; /* bytes there */
#endif
    fprintf(report, "%.6f %.6f %ld\n", cpu, elapsed, resident);
    fclose(report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
