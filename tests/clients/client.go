// All five calls, by Debian's golang-thrift-dev and stubs made from server.thrift, as Go's users make
// them: a connection of its own for each call, with a deadline of three seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"server"
)

const deadline = 3 * time.Second

func control(call func(context.Context, *server.ServerClient) error) {
	settings := &thrift.TConfiguration{ConnectTimeout: deadline, SocketTimeout: deadline}
	socket := thrift.NewTSocketConf("127.0.0.1:"+os.Args[1], settings)
	transport := thrift.NewTBufferedTransport(socket, 8192)
	if err := transport.Open(); err != nil {
		fail("connect", err, nil)
	}
	defer transport.Close()
	protocol := thrift.NewTBinaryProtocolConf(transport, settings)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := server.NewServerClient(thrift.NewTStandardClient(protocol, protocol))
	if err := call(ctx, client); err != nil {
		fail("call", err, nil)
	}
}

func fail(what string, found, wanted interface{}) {
	fmt.Fprintf(os.Stderr, "%s: %v, not %v\n", what, found, wanted)
	os.Exit(1)
}

func check(what string, found, wanted interface{}) {
	if found != wanted {
		fail(what, found, wanted)
	}
}

func outcome(err error) syscall.Errno {
	var number syscall.Errno
	if err != nil && !errors.As(err, &number) {
		fail("an errno", err, "there")
	}
	return number
}

func setFault(methods []string, errno, delay int32, regexp string) {
	control(func(ctx context.Context, c *server.ServerClient) error {
		return c.SetFault(ctx, methods, false, errno, 100000, regexp, false, delay, false)
	})
}

func main() {
	mnt := os.Args[2]
	hit, spared := mnt+"/hit", mnt+"/spared"
	mkdir := func(path string) syscall.Errno { return outcome(syscall.Mkdir(path, 0o755)) }
	rmdir := func(path string) syscall.Errno { return outcome(syscall.Rmdir(path)) }
	stat := func(path string) syscall.Errno { return outcome(syscall.Stat(path, &syscall.Stat_t{})) }

	control(func(ctx context.Context, c *server.ServerClient) error {
		methods, err := c.GetMethods(ctx)
		check("methods are sorted", sort.StringsAreSorted(methods), true)
		at := sort.SearchStrings(methods, "fsync")
		check("fsync is a method", at < len(methods) && methods[at] == "fsync", true)
		return err
	})

	setFault([]string{"mkdir", "rmdir", "unheard_of"}, int32(syscall.ENOSPC), 0, ".*/hit")
	check("mkdir that matches", mkdir(hit), syscall.ENOSPC)
	check("mkdir that does not", mkdir(spared), syscall.Errno(0))
	control(func(ctx context.Context, c *server.ServerClient) error { return c.ClearFault(ctx, "mkdir") })
	check("mkdir after clear_fault", mkdir(hit), syscall.Errno(0))
	check("rmdir still fails", rmdir(hit), syscall.ENOSPC)

	setFault([]string{"rmdir"}, 0, 60000, ".*/spared")
	began := time.Now()
	check("rmdir that is delayed", rmdir(spared), syscall.Errno(0))
	check("it took 60 ms", time.Since(began) >= 60*time.Millisecond, true)

	control(func(ctx context.Context, c *server.ServerClient) error {
		return c.SetAllFault(ctx, false, int32(syscall.EIO), 0, ".*/hit", false, 0, false)
	})
	check("stat of what matches", stat(hit), syscall.EIO)
	check("stat of what does not", stat(mnt), syscall.Errno(0))
	control(func(ctx context.Context, c *server.ServerClient) error { return c.ClearAllFaults(ctx) })
	check("rmdir after clear_all_faults", rmdir(hit), syscall.Errno(0))
}
