/* The least that can call a module from a shell: connects, sends one frame, reads one, prints it, and
   checks nothing. With one argument less, it does nothing, to measure the cost of its start. */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **words) {
    static char buffer[1 << 16];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint32_t length;
    size_t have = 0, size;
    int connection;
    if (count < 3) return 0;
    strncpy(address.sun_path, words[1], sizeof address.sun_path - 1);
    connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) return 125;
    size = strlen(words[2]);
    if (size > sizeof buffer - 4) return 2;
    length = htonl((uint32_t)size);
    memcpy(buffer, &length, 4);
    memcpy(buffer + 4, words[2], size);
    if (write(connection, buffer, size + 4) != (ssize_t)(size + 4)) return 125;
    do {
        ssize_t got = read(connection, buffer + have, sizeof buffer - have);
        if (got <= 0) return 125;
        have += (size_t)got;
        memcpy(&length, buffer, 4);
    } while (have < 4 || have < 4 + ntohl(length));
    return write(1, buffer + 4, have - 4) == (ssize_t)(have - 4) ? 0 : 1;
}
