// All five calls, by Debian's libthrift and stubs made from server.thrift: client PORT MOUNTPOINT
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include "server.h"

using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::transport::TBufferedTransport;
using apache::thrift::transport::TSocket;

static int outcome(int result) { return result == 0 ? 0 : errno; }

static void check(const char *what, long found, long wanted) {
    if (found != wanted) {
        std::cerr << what << ": " << found << ", not " << wanted << std::endl;
        std::exit(1);
    }
}

int main(int, char **argv) {
    auto socket = std::make_shared<TSocket>("127.0.0.1", std::atoi(argv[1]));
    auto transport = std::make_shared<TBufferedTransport>(socket);
    serverClient client(std::make_shared<TBinaryProtocol>(transport));
    transport->open();
    const std::string mnt = argv[2], hit = mnt + "/hit", spared = mnt + "/spared";
    struct stat st;

    std::vector<std::string> methods;
    client.get_methods(methods);
    check("methods are sorted", std::is_sorted(methods.begin(), methods.end()), true);
    check("fsync is a method", std::count(methods.begin(), methods.end(), "fsync"), 1);

    client.set_fault({"mkdir", "rmdir", "unheard_of"}, false, ENOSPC, 100000, ".*/hit", false, 0, false);
    check("mkdir that matches", outcome(mkdir(hit.c_str(), 0755)), ENOSPC);
    check("mkdir that does not", outcome(mkdir(spared.c_str(), 0755)), 0);
    client.clear_fault("mkdir");
    check("mkdir after clear_fault", outcome(mkdir(hit.c_str(), 0755)), 0);
    check("rmdir still fails", outcome(rmdir(hit.c_str())), ENOSPC);

    client.set_fault({"rmdir"}, false, 0, 100000, ".*/spared", false, 60000, false);
    const auto began = std::chrono::steady_clock::now();
    check("rmdir that is delayed", outcome(rmdir(spared.c_str())), 0);
    check("it took 60 ms", std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(60), true);

    client.set_all_fault(false, EIO, 0, ".*/hit", false, 0, false);
    check("stat of what matches", outcome(stat(hit.c_str(), &st)), EIO);
    check("stat of what does not", outcome(stat(mnt.c_str(), &st)), 0);
    client.clear_all_faults();
    check("rmdir after clear_all_faults", outcome(rmdir(hit.c_str())), 0);
    transport->close();
}
