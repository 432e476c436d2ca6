/*
 * datagrams PATH: prints what is sent to the Unix socket PATH, each datagram followed by a newline.
 *
 * A descriptor that comes along is closed by recv(2), which takes none: systemd-notify(1) waits for that, as a sign that all it sent
 * before has been read. socat(1) would keep it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char text[4096];
    ssize_t length;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
        return 64;
    strcpy(address.sun_path, argv[1]);
    if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
        perror(argv[1]);
        return 73;
    }
    while ((length = recv(fd, text, sizeof(text), 0)) >= 0) {
        fwrite(text, 1, length, stdout);
        putchar('\n');
        fflush(stdout);
    }
    return 74;
}
