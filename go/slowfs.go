// Package slowfs mounts slowfs in a test: a directory that becomes slow, broken or treacherous on command.
//
//	func TestLog(t *testing.T) {
//		fs := slowfs.Mount(t)
//		fault := fs.Delay("300ms", slowfs.Methods("fsync"), slowfs.Path(`.*/wal/.*`))
//		commit(fs.Path)
//		if fault.Fired() == 0 {
//			t.Error("no commit synced the log")
//		}
//	}
//
// The program slowfs does the work: $SLOWFS names it, or it is on PATH. Whatever the test leaves behind is
// cleared, released and unmounted at its end. What slowfs refuses is fatal to the test, so call all this from
// the test's own goroutine, as testing.T.FailNow asks.
package slowfs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Within this a mount answers, or has failed.
	starting = 60 * time.Second
	// Within this it ends.
	ending = 20 * time.Second
)

// FS is a mirror of a directory, mounted until its test ends.
type FS struct {
	// Path is the mountpoint: programs under test work here.
	Path string
	// Backing is the directory behind it, which no fault reaches; patterns match paths below it.
	Backing string
	// Log is the file with the daemon's log.
	Log string

	t       testing.TB
	program string
	socket  string
	daemon  *exec.Cmd
	ended   chan error
}

// Mount mirrors a fresh directory until the test and its subtests end. The options are more words for
// `slowfs mount`. Where there is no /dev/fuse or no slowfs the test is skipped; with SLOWFS_REQUIRED=1 in
// the environment it fails.
func Mount(t testing.TB, options ...string) *FS {
	t.Helper()
	dir := t.TempDir()
	backing, path := filepath.Join(dir, "backing"), filepath.Join(dir, "mnt")
	for _, made := range []string{backing, path} {
		if err := os.Mkdir(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return MountAt(t, backing, path, options...)
}

// MountAt is Mount of these directories, which are there.
func MountAt(t testing.TB, backing, path string, options ...string) *FS {
	t.Helper()
	program, lacking := find()
	if lacking != nil {
		if os.Getenv("SLOWFS_REQUIRED") == "1" {
			t.Fatalf("slowfs: %v", lacking)
		}
		t.Skipf("slowfs: %v", lacking)
	}
	fs := &FS{Path: path, Backing: backing, Log: path + ".log", t: t, program: program}
	t.Cleanup(fs.end)
	if err := fs.start(options); err != nil {
		t.Fatalf("slowfs: %v", err)
	}
	return fs
}

// In is the same mount for a subtest, which fails where slowfs refuses something.
func (m *FS) In(t testing.TB) *FS {
	same := *m
	same.t = t
	return &same
}

// Join is a path on the mount.
func (m *FS) Join(names ...string) string {
	return filepath.Join(append([]string{m.Path}, names...)...)
}

// Clear lifts these faults, by name, id or method, or every one; what they hold is released.
func (m *FS) Clear(what ...string) {
	m.t.Helper()
	m.Ask(nil, append([]string{"clear"}, what...)...)
}

// Apply has these faults in force in one step, as `slowfs apply` does with a file of them. Each is as typed after
// `slowfs`; a text may be of several lines, such as a file's. What stands in the same words goes on, and faults
// that are not among them stay.
func (m *FS) Apply(faults ...string) []*Fault {
	m.t.Helper()
	return m.apply(faults)
}

// ApplyOnly is Apply, and clears every other fault.
func (m *FS) ApplyOnly(faults ...string) []*Fault {
	m.t.Helper()
	return m.apply(faults, "--prune")
}

// Ask decodes into `answer` (unless that is nil) what `slowfs COMMAND... --json` answers of this mount, as
// docs/control.md has it.
func (m *FS) Ask(answer any, command ...string) {
	m.t.Helper()
	if err := m.ask(answer, command...); err != nil {
		m.t.Fatalf("slowfs: %v", err)
	}
}

func (m *FS) ask(answer any, command ...string) error {
	return m.askGiven("", answer, command...)
}

// What is given is on the command's standard input.
func (m *FS) askGiven(given string, answer any, command ...string) error {
	argv := append([]string{command[0], "--addr", m.socket, "--json"}, command[1:]...)
	run := exec.Command(m.program, argv...)
	run.Env, run.Dir, run.Stdin = environment(), "/", strings.NewReader(given)
	var said bytes.Buffer
	run.Stderr = &said
	out, err := run.Output()
	var told struct {
		Ok    bool
		Error string
	}
	switch failed := json.Unmarshal(out, &told); {
	case failed != nil && said.Len() > 0:
		said := strings.TrimPrefix(strings.TrimSpace(said.String()), "slowfs: ")
		return fmt.Errorf("slowfs %s: %s", command[0], said)
	case failed != nil && err != nil:
		return fmt.Errorf("cannot run %s: %w", m.program, err)
	case failed != nil:
		return fmt.Errorf("slowfs %s: %w", command[0], failed)
	case !told.Ok:
		return fmt.Errorf("slowfs %s: %s", command[0], told.Error)
	case answer != nil:
		return json.Unmarshal(out, answer)
	}
	return nil
}

// Starts the daemon, which ends with this process at the latest, however that ends.
func (m *FS) start(options []string) error {
	log, err := os.OpenFile(m.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	argv := []string{"mount", m.Backing, m.Path, "--listen", "none", "--json",
		"--end-with", strconv.Itoa(os.Getpid())}
	daemon := exec.Command(m.program, append(argv, options...)...)
	daemon.Env, daemon.Stderr = environment(), log
	// A ctrl-C is for the test, which then ends the daemon.
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := daemon.StdoutPipe()
	if err != nil {
		return err
	}
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", m.program, err)
	}
	m.daemon, m.ended = daemon, make(chan error, 1)
	type answer struct {
		line []byte
		err  error
	}
	told := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadBytes('\n')
		told <- answer{line, err}
		_, _ = io.Copy(io.Discard, out)
		m.ended <- daemon.Wait()
	}()
	select {
	case told := <-told:
		var ready struct{ Socket string }
		switch {
		case told.err == io.EOF:
			return fmt.Errorf("cannot mount %s: %s", m.Path, m.said())
		case told.err != nil:
			return fmt.Errorf("cannot read what the daemon of %s says: %w", m.Path, told.err)
		}
		if err := json.Unmarshal(told.line, &ready); err != nil {
			return fmt.Errorf("the daemon of %s says %q: %w", m.Path, told.line, err)
		}
		m.socket = ready.Socket
		return nil
	case <-time.After(starting):
		return fmt.Errorf("no answer of %s within %v: %s", m.Path, starting, m.said())
	}
}

// Clears every fault, releases what is held, and unmounts, busy or not. A daemon that does not end loses
// its mount all the same.
func (m *FS) end() {
	if m.daemon == nil {
		return
	}
	if m.t.Failed() && m.socket != "" {
		m.tell()
	}
	var err error
	select {
	case err = <-m.ended:
		err = fmt.Errorf("its daemon had ended before (%v)", err)
	default:
		_ = m.daemon.Process.Signal(syscall.SIGTERM)
		select {
		case err = <-m.ended:
		case <-time.After(ending):
			_ = m.daemon.Process.Kill()
			err = fmt.Errorf("its daemon did not end within %v", ending)
		}
	}
	if err != nil {
		umount := exec.Command(m.program, "umount", "--force", m.Path)
		umount.Env = environment()
		_ = umount.Run()
		m.t.Errorf("slowfs: %s did not end well: %v: %s", m.Path, err, m.said())
	}
}

// Logs what a failed test's mount was told, and what its daemon has said.
func (m *FS) tell() {
	for _, which := range [][]string{{"list"}, {"list", "--ended"}} {
		run := exec.Command(m.program, append(which, "--addr", m.socket)...)
		run.Env = environment()
		out, _ := run.CombinedOutput()
		m.t.Logf("slowfs %s of %s:\n%s", strings.Join(which, " "), m.Path, out)
	}
	log, _ := os.ReadFile(m.Log)
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	m.t.Logf("the log of %s:\n%s", m.Path, strings.Join(lines, "\n"))
}

// The last that the daemon has said.
func (m *FS) said() string {
	log, err := os.ReadFile(m.Log)
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if err != nil || lines[0] == "" {
		return "nothing in " + m.Log
	}
	return lines[len(lines)-1]
}

// The environment without what would have the program ask somebody else.
func environment() []string {
	var kept []string
	for _, each := range os.Environ() {
		if !strings.HasPrefix(each, "SLOWFS") {
			kept = append(kept, each)
		}
	}
	return kept
}

// The program, or what a mount lacks here.
func find() (string, error) {
	wanted := os.Getenv("SLOWFS")
	if wanted == "" {
		wanted = "slowfs"
	}
	program, err := exec.LookPath(wanted)
	if err != nil {
		return "", fmt.Errorf("cannot run %s: install it, or name it by $SLOWFS", wanted)
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return "", err
	}
	// Not by os.OpenFile, which has the runtime wait for it: that this device reports an error may be told after
	// it was closed, to what is opened next.
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open /dev/fuse: %w; in a container pass --device /dev/fuse", err)
	}
	_ = syscall.Close(device)
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			return "", errors.New("no fusermount3, by which ordinary users mount: install the package fuse3")
		}
	}
	return program, nil
}
