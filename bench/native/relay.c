/* relay FILE COMMAND...: a pseudo-terminal relay with nothing around it. Read, write to FILE, until the end.
   What it moves in a second is the pseudo-terminal's own limit, and the yardstick for a job's log. */
#ifdef __APPLE__
#include <util.h>
#else
#include <pty.h>
#endif
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buffer[1 << 16];
    int master, status;
    if (argc < 3)
        return 2;
    int out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    pid_t child = forkpty(&master, NULL, NULL, NULL);
    if (out < 0 || child < 0) {
        perror(argv[1]);
        return 1;
    }
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    ssize_t got;
    while ((got = read(master, buffer, sizeof buffer)) > 0) /* EIO: the last process has closed the terminal */
        if (write(out, buffer, got) != got)
            return 1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
