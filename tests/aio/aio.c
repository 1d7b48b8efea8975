/* Asynchronous and plain operations on one file, as the tests ask for them.
 *
 *   aio libaio|uring|plain FILE FLAG,...
 *
 * FLAG: none; direct dsync sync as of open(2); fdirect for O_DIRECT set by fcntl(2) after the open;
 * random for POSIX_FADV_RANDOM and MADV_RANDOM; thread: of uring, each batch is submitted by a thread
 * that has ended before its operations are waited for. Each line of standard input is a batch, all of whose
 * operations are submitted at once:
 *
 *   w:OFFSET:LENGTH:BYTE[:dsync|:sync]   r:OFFSET:LENGTH   fsync   fdatasync
 *
 * with RWF_DSYNC or RWF_SYNC where it says so; or, plain only and one after the other,
 *
 *   m:OFFSET:1           reads the byte from a mapping of the file
 *   s:OFFSET:LENGTH      sendfile(2) to /dev/null
 *   x:OFFSET:LENGTH      splice(2) to a pipe
 *   a:OFFSET:LENGTH      readahead(2)
 *   end  stat  drop      lseek(SEEK_END), fstat(2), POSIX_FADV_DONTNEED
 *
 * Each operation that has ended prints a line: its word and its result, which is a number of bytes or
 * a negated errno (EFAULT for a signal), and for a read its first byte, or "mixed" if not all are the
 * same. A line "done" ends the batch. Buffers are pages. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 256 };

enum kind { READ, WRITE, FSYNC, FDATASYNC, OTHER };

struct operation {
    char word[64];
    enum kind kind;
    long long offset;
    int flags;
    struct iovec buffer;
    struct iocb iocb;
};

static int file, sink, ends[2], apart;
static char *mapping;
static size_t size;
static sigjmp_buf no_page;
static struct operation operations[MOST];

static void fail(const char *what, int error)
{
    fprintf(stderr, "aio: %s: %s\n", what, strerror(error));
    exit(1);
}

static void parse(struct operation *op, const char *word)
{
    char kind, sync[8] = "";
    int byte = 0;
    memset(op, 0, sizeof *op);
    snprintf(op->word, sizeof op->word, "%s", word);
    if (!strcmp(word, "fsync") || !strcmp(word, "fdatasync")) {
        op->kind = word[1] == 's' ? FSYNC : FDATASYNC;
        return;
    }
    if (!strcmp(word, "end") || !strcmp(word, "stat") || !strcmp(word, "drop")) {
        op->kind = OTHER;
        return;
    }
    if (sscanf(word, "%c:%lld:%zu:%d:%7s", &kind, &op->offset, &op->buffer.iov_len, &byte, sync) < 3)
        fail(word, EINVAL);
    op->kind = kind == 'w' ? WRITE : kind == 'r' ? READ : OTHER;
    op->flags = !strcmp(sync, "dsync") ? RWF_DSYNC : !strcmp(sync, "sync") ? RWF_SYNC : 0;
    if (posix_memalign(&op->buffer.iov_base, 4096, op->buffer.iov_len))
        fail("memory", ENOMEM);
    memset(op->buffer.iov_base, byte, op->buffer.iov_len);
}

static void tell(struct operation *op, long long result)
{
    const char *bytes = op->buffer.iov_base;
    printf("%s %lld", op->word, result);
    if (op->kind == READ && result > 0) {
        if (result > 1 && memcmp(bytes, bytes + 1, result - 1))
            printf(" mixed");
        else
            printf(" %d", bytes[0]);
    }
    printf("\n");
    free(op->buffer.iov_base);
}

static void by_libaio(int n)
{
    static io_context_t context;
    struct iocb *list[MOST];
    struct io_event events[MOST];
    int error;
    if (!context && (error = io_setup(MOST, &context)))
        fail("io_setup", -error);
    for (int i = 0; i < n; i++) {
        struct operation *op = &operations[i];
        list[i] = &op->iocb;
        switch (op->kind) {
        case READ: io_prep_preadv2(list[i], file, &op->buffer, 1, op->offset, op->flags); break;
        case WRITE: io_prep_pwritev2(list[i], file, &op->buffer, 1, op->offset, op->flags); break;
        case FSYNC: io_prep_fsync(list[i], file); break;
        case FDATASYNC: io_prep_fdsync(list[i], file); break;
        case OTHER: fail(op->word, EINVAL);
        }
        list[i]->data = op;
    }
    for (int sent = 0; sent < n;) {
        int taken = io_submit(context, n - sent, list + sent);
        if (taken < 0)
            fail("io_submit", -taken);
        sent += taken;
    }
    for (int ended = 0; ended < n;) {
        int got = io_getevents(context, 1, MOST, events, NULL);
        if (got < 0)
            fail("io_getevents", -got);
        for (int i = 0; i < got; i++)
            tell(events[i].data, (long)events[i].res);
        ended += got;
    }
}

static struct io_uring ring;

static void *submit(void *unused)
{
    int error = io_uring_submit(&ring);
    (void)unused;
    if (error < 0)
        fail("io_uring_submit", -error);
    return NULL;
}

static void by_uring(int n)
{
    pthread_t submitter;
    int error;
    if (!ring.ring_fd && (error = io_uring_queue_init(MOST, &ring, 0)))
        fail("io_uring_queue_init", -error);
    for (int i = 0; i < n; i++) {
        struct operation *op = &operations[i];
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        switch (op->kind) {
        case READ: io_uring_prep_readv2(sqe, file, &op->buffer, 1, op->offset, op->flags); break;
        case WRITE: io_uring_prep_writev2(sqe, file, &op->buffer, 1, op->offset, op->flags); break;
        case FSYNC: io_uring_prep_fsync(sqe, file, 0); break;
        case FDATASYNC: io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC); break;
        case OTHER: fail(op->word, EINVAL);
        }
        io_uring_sqe_set_data(sqe, op);
    }
    if (!apart)
        submit(NULL);
    else if ((error = pthread_create(&submitter, NULL, submit, NULL)) ||
             (error = pthread_join(submitter, NULL)))
        fail("thread", error);
    for (int ended = 0; ended < n; ended++) {
        struct io_uring_cqe *cqe;
        if ((error = io_uring_wait_cqe(&ring, &cqe)))
            fail("io_uring_wait_cqe", -error);
        tell(io_uring_cqe_get_data(cqe), cqe->res);
        io_uring_cqe_seen(&ring, cqe);
    }
}

static void on_signal(int number)
{
    siglongjmp(no_page, number);
}

static long long touch(long long offset)
{
    if (sigsetjmp(no_page, 1)) {
        errno = EFAULT;
        return -1;
    }
    *(volatile char *)(mapping + offset);
    return 1;
}

static long long other(struct operation *op)
{
    char drain[4096];
    struct stat stat;
    off_t offset = op->offset;
    size_t length = op->buffer.iov_len;
    long long done;
    if (!strcmp(op->word, "end"))
        return lseek(file, 0, SEEK_END);
    if (!strcmp(op->word, "stat"))
        return fstat(file, &stat) ? -1 : stat.st_size;
    if (!strcmp(op->word, "drop")) {
        if (mapping && madvise(mapping, size, MADV_DONTNEED))
            return -1;
        return posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    }
    switch (op->word[0]) {
    case 'm': return touch(offset);
    case 's': return sendfile(sink, file, &offset, length);
    case 'a': return readahead(file, offset, length);
    case 'x':
        done = splice(file, &offset, ends[1], NULL, length, 0);
        for (long long left = done, got; left > 0 && (got = read(ends[0], drain, sizeof drain)) > 0;)
            left -= got;
        return done;
    }
    errno = EINVAL;
    return -1;
}

static void plainly(int n)
{
    for (int i = 0; i < n; i++) {
        struct operation *op = &operations[i];
        long long result = 0;
        switch (op->kind) {
        case READ: result = preadv2(file, &op->buffer, 1, op->offset, op->flags); break;
        case WRITE: result = pwritev2(file, &op->buffer, 1, op->offset, op->flags); break;
        case FSYNC: result = fsync(file); break;
        case FDATASYNC: result = fdatasync(file); break;
        case OTHER: result = other(op); break;
        }
        tell(op, result < 0 ? -errno : result);
    }
}

int main(int argc, char **argv)
{
    static char line[1 << 16];
    int flags = O_RDWR | O_CREAT | O_CLOEXEC, later = 0, random = 0;
    struct stat stat;
    void (*run)(int);
    if (argc != 4)
        fail("usage: aio libaio|uring|plain FILE FLAG,...", EINVAL);
    run = !strcmp(argv[1], "libaio") ? by_libaio : !strcmp(argv[1], "uring") ? by_uring : plainly;
    for (char *flag = strtok(argv[3], ","); flag; flag = strtok(NULL, ",")) {
        if (!strcmp(flag, "direct"))
            flags |= O_DIRECT;
        else if (!strcmp(flag, "fdirect"))
            later = O_DIRECT;
        else if (!strcmp(flag, "dsync"))
            flags |= O_DSYNC;
        else if (!strcmp(flag, "sync"))
            flags |= O_SYNC;
        else if (!strcmp(flag, "random"))
            random = 1;
        else if (!strcmp(flag, "thread"))
            apart = 1;
        else if (strcmp(flag, "none"))
            fail(flag, EINVAL);
    }
    if ((file = open(argv[2], flags, 0644)) < 0)
        fail(argv[2], errno);
    if (later && fcntl(file, F_SETFL, fcntl(file, F_GETFL) | later))
        fail("F_SETFL", errno);
    if (fstat(file, &stat))
        fail("fstat", errno);
    if (stat.st_size) {
        mapping = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (mapping == MAP_FAILED)
            fail("mmap", errno);
    }
    if (random && (posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM) ||
                   (mapping && madvise(mapping, stat.st_size, MADV_RANDOM))))
        fail("random", errno);
    if ((sink = open("/dev/null", O_WRONLY)) < 0 || pipe(ends))
        fail("/dev/null or a pipe", errno);
    size = stat.st_size;
    signal(SIGBUS, on_signal);
    setlinebuf(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int n = 0;
        for (char *word = strtok(line, " \n"); word && n < MOST; word = strtok(NULL, " \n"))
            parse(&operations[n++], word);
        if (n)
            run(n);
        printf("done\n");
    }
    return 0;
}
