/*
 * The state that exec(2) passes on.
 *
 *   exec-probe strange PROGRAM [ARG]...   gets itself unusual descriptors, signals and limits, and
 *                                         executes PROGRAM
 *   exec-probe report [ARG]...            prints all that it inherited, one item a line, sorted
 */
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void bytes(const char *name, const char *text)
{
    printf("%s ", name);
    for (; *text; text++)
        printf(isgraph((unsigned char) *text) && *text != '%' ? "%c" : "%%%02x", (unsigned char) *text);
    putchar('\n');
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static int report(char **argv)
{
    struct sigaction action;
    struct rlimit limit;
    sigset_t blocked;
    mode_t mask = umask(0);
    char cwd[4096];
    int count = 0;

    /* before stdio opens files */
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        struct stat file;
        if (flags >= 0 && fstat(fd, &file) == 0)
            printf("fd %d flags %d status %x inode %lu offset %ld\n", fd, flags, fcntl(fd, F_GETFL),
                   (unsigned long) file.st_ino, fd < 3 ? 0L : (long) lseek(fd, 0, SEEK_CUR));
    }
    printf("pid %d ppid %d pgrp %d sid %d uid %d %d gid %d %d umask %o\n", getpid(), getppid(), getpgrp(), getsid(0),
           getuid(), geteuid(), getgid(), getegid(), mask);
    bytes("cwd", getcwd(cwd, sizeof cwd) ? cwd : "?");
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0)
            printf("signal %d %s%s\n", number, action.sa_handler == SIG_IGN ? "ignored" : "default",
                   sigismember(&blocked, number) > 0 ? " blocked" : "");
    for (int resource = 0; resource < RLIMIT_NLIMITS; resource++)
        if (getrlimit(resource, &limit) == 0)
            printf("limit %d %lx %lx\n", resource, (unsigned long) limit.rlim_cur, (unsigned long) limit.rlim_max);
    printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
    for (; *argv; argv++)
        bytes("argument", *argv);
    while (environ[count])
        count++;
    qsort(environ, count, sizeof *environ, by_bytes);
    for (int i = 0; i < count; i++)
        bytes("variable", environ[i]);
    return 0;
}

static int strange(char **argv)
{
    struct rlimit files = {400, 500}, stack = {4 << 20, 5 << 20};
    sigset_t blocked;
    int fd = open("/proc/self/exe", O_RDONLY);

    dup2(fd, 4);
    dup2(fd, 9);
    dup2(fd, 10);
    dup2(fd, 11);
    dup2(fd, 57);
    dup2(fd, 255);
    dup2(fd, 300);
    lseek(fd, 7, SEEK_SET);
    close(fd);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_STACK, &stack);
    umask(0027);
    nice(3);
    execv(argv[0], argv);
    perror(argv[0]);
    return 127;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "strange") == 0)
        return strange(argv + 2);
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return report(argv + 2);
    return 64;
}
