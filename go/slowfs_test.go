package slowfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A setting of each kind.
var every = map[string]func(*FS) *Fault{
	"delay":      func(m *FS) *Fault { return m.Delay("1ms", Methods("write"), PerByte("10ns"), When("after")) },
	"hang":       func(m *FS) *Fault { return m.Hang(Methods("fsync")) },
	"error":      func(m *FS) *Fault { return m.Error("EIO,ENOSPC", Methods("fsync"), When("after")) },
	"kill":       func(m *FS) *Fault { return m.Kill(Methods("fsync")) },
	"short":      func(m *FS) *Fault { return m.Short("", Methods("write")) },
	"lost-write": func(m *FS) *Fault { return m.LostWrite(Methods("write"), Hidden()) },
	"torn-write": func(m *FS) *Fault { return m.TornWrite("random", Methods("write"), Unit("512"), Hidden()) },
	"corrupt": func(m *FS) *Fault {
		return m.Corrupt("flip", Methods("write"), Unit("512"), Spots(2), Length(1), Hidden())
	},
	"bad-sector": func(m *FS) *Fault {
		return m.BadSector(Range("0..4KiB"), Density(1e-4), Unit("4KiB"), Sticky())
	},
	"full": func(m *FS) *Fault { return m.Full("10MiB", Inodes(5), Owner(0), Errno("EDQUOT")) },
	"throttle": func(m *FS) *Fault {
		return m.Throttle(IOPS(1000), ReadBW("1GB"), WriteBW("1GB"), Burst(5), IOSize("64KiB"), Per("file"))
	},
	"device":     func(m *FS) *Fault { return m.Device("hdd", Channels(2), Read("1ms"), Seek("2ms")) },
	"read-only":  func(m *FS) *Fault { return m.ReadOnly(At("fsync", "write")) },
	"shutdown":   func(m *FS) *Fault { return m.Shutdown(At("fsync")) },
	"fsync-fail": func(m *FS) *Fault { return m.FsyncFail("lost", Methods("fsync")) },
	"lying-sync": func(m *FS) *Fault { return m.LyingSync(Methods("fsync"), Forever()) },
	"cut-at": func(m *FS) *Fault {
		return m.CutAt("fsync,rename", When("after"), Keep("random"), Unit("4096"), Seed(7))
	},
}

// What is told of the faults in force.
type listed struct {
	Faults []struct {
		ID    int64
		Fault struct {
			Methods []string
			Pattern string
			Name    string
			Effects []struct{ Kind string }
			Options map[string]any
		}
	}
}

func TestEveryKindCanBeSet(t *testing.T) {
	t.Parallel()
	m := Mount(t, "--track-unsynced")
	told, err := exec.Command(m.program, "kinds", "--json").Output()
	var kinds struct{ Kinds []struct{ Name string } }
	if err != nil || json.Unmarshal(told, &kinds) != nil || len(kinds.Kinds) != len(every) {
		t.Fatalf("%d kinds are set here, and %v (%v) are told", len(every), kinds.Kinds, err)
	}
	for _, kind := range kinds.Kinds {
		if every[kind.Name] == nil {
			t.Errorf("%s is not set here", kind.Name)
			continue
		}
		fault := every[kind.Name](m)
		var list listed
		m.Ask(&list, "list")
		if len(list.Faults) != 1 || list.Faults[0].ID != fault.ID ||
			list.Faults[0].Fault.Effects[0].Kind != kind.Name {
			t.Errorf("%s: %+v", kind.Name, list)
		}
		fault.Clear()
	}
}

func TestEveryOptionReachesTheMount(t *testing.T) {
	t.Parallel()
	m := Mount(t)
	m.Error("EIO", Methods("read", "write"), Path(`.*/wal/.*`), Probability(0.25), After(1), Nth(2),
		Count(3), Starts("1h"), Lasts("2h"), OnFor("1s"), OffFor("2s"), Random(), UID(0, 1), PID(1),
		Range("0..4096"), Size("1..4096"), Flags("sync", "direct"), Name("all-of-it"),
		Also("delay 1ms", "kill"))
	m.Delay("1ms", Methods("write"), Ramp("x1..x2/1s"), Stable(), Glob("*.log"), Add())
	m.Delay("1ms", Methods("write"), Below(".*/wal"), Add())
	var list listed
	m.Ask(&list, "list")
	if len(list.Faults) != 3 {
		t.Fatalf("%+v", list)
	}
	first := list.Faults[0].Fault
	if first.Name != "all-of-it" || first.Pattern != `.*/wal/.*` || len(first.Effects) != 3 ||
		!reflect.DeepEqual(first.Methods, []string{"read", "write"}) || first.Options["probability"] != 0.25 {
		t.Errorf("%+v", first)
	}
	var reached []string
	for _, fault := range list.Faults {
		for name := range fault.Fault.Options {
			reached = append(reached, name)
		}
	}
	sort.Strings(reached)
	want := "after count flags lasts nth off_for on_for pid probability ramp random range size stable starts uid"
	if strings.Join(reached, " ") != want {
		t.Errorf("%v", reached)
	}
}

func TestAFaultIsInForceUntilItIsCleared(t *testing.T) {
	t.Parallel()
	m := Mount(t)
	fault := m.Delay("300ms", Methods("mkdir"), Path(`.*/slow`))
	began := time.Now()
	for _, name := range []string{"slow", "fast"} {
		if err := os.Mkdir(m.Join(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("took %v", took)
	}
	fault.WaitFired(1, time.Second)
	fault.Clear()
	fault.Clear()
	if told := fault.Listed(); told.State != "ended" || told.Fired != 1 || told.Matched != 1 {
		t.Errorf("%+v", told)
	}
}

func TestWhatIsHeldRunsAtTheEndOfTheTest(t *testing.T) {
	t.Parallel()
	var m *FS
	done := make(chan error, 1)
	t.Run("held", func(t *testing.T) {
		m = Mount(t)
		fault := m.Hang(Methods("link"))
		if err := os.WriteFile(m.Join("file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		go func() { done <- os.Link(m.Join("file"), m.Join("held")) }()
		fault.WaitHeld(1, 10*time.Second)
		if held := fault.Held(); held != 1 {
			t.Errorf("%d held", held)
		}
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left := mounted(t, m.Path); left != "" {
		t.Error(left)
	}
}

func TestASetOfFaultsIsInForceInOneStep(t *testing.T) {
	t.Parallel()
	m := Mount(t)
	other := m.Hang(Methods("rmdir"), Name("other"))
	set := m.Apply("delay 300ms -m fsync --name slow", "error EIO -m mkdir")
	if err := os.Mkdir(m.Join("dir"), 0o755); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	// A file's text: what it has in the same words goes on, with its counts.
	again := m.Apply("# the disk\ndelay 200ms -m fsync --name slow\nerror EIO -m mkdir\n")
	if len(set) != 2 || len(again) != 2 || again[0].ID == set[0].ID || again[1].ID != set[1].ID {
		t.Fatalf("%+v, then %+v", set, again)
	}
	if set[0].Listed().State != "ended" || again[1].Fired() != 1 || other.Listed().State != "on" {
		t.Errorf("%+v, %+v, %+v", set[0].Listed(), again[1].Listed(), other.Listed())
	}
	only := m.ApplyOnly("hang -m read", "kill -m read")
	if len(only) != 2 || len(only[0].Warnings) != 0 || len(only[1].Warnings) != 1 ||
		!strings.Contains(only[1].Warnings[0], "cannot fire as long as") {
		t.Fatalf("%+v", only)
	}
	var list listed
	if m.Ask(&list, "list"); len(list.Faults) != 2 || other.Listed().State != "ended" {
		t.Errorf("%+v", list)
	}
	if left := m.ApplyOnly(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if m.Ask(&list, "list"); len(list.Faults) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestInnerAppliesWhatIsRefused(t *testing.T) {
	innerOnly(t)
	Mount(t).Apply("hang -m read", "hang -m mkdri")
}

func TestASubtestMayUseTheMount(t *testing.T) {
	t.Parallel()
	m := Mount(t, "--read-only")
	t.Run("sub", func(t *testing.T) {
		m.In(t).Hang(Methods("fsync")).Clear()
		if err := os.Mkdir(m.Join("dir"), 0o755); !errors.Is(err, syscall.EROFS) {
			t.Error(err)
		}
	})
}

// What is mounted at or below a path.
func mounted(t *testing.T, path string) string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(table), "\n") {
		if strings.Contains(line, " "+path) {
			return line
		}
	}
	return ""
}

// The following tests run one of those below in a process of its own.
const inner = "SLOWFS_TEST_OF_TESTS"

func again(t *testing.T, name string, environment ...string) *exec.Cmd {
	t.Helper()
	run := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	run.Env = append(os.Environ(), append([]string{inner + "=1"}, environment...)...)
	return run
}

func innerOnly(t *testing.T) {
	t.Helper()
	if os.Getenv(inner) == "" {
		t.Skip("it is run by another test")
	}
}

func TestInnerHolds(t *testing.T) {
	innerOnly(t)
	m := Mount(t)
	fault := m.Hang(Methods("mkdir"))
	go func() { _ = os.Mkdir(m.Join("held"), 0o755) }()
	fault.WaitHeld(1, 10*time.Second)
	fmt.Printf("mounted %s\n", m.Path)
	time.Sleep(10 * time.Minute)
}

func TestAKilledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	run := again(t, "TestInnerHolds", "TMPDIR="+t.TempDir())
	out, err := run.StdoutPipe()
	if err != nil || run.Start() != nil {
		t.Fatal("cannot run the test again")
	}
	var path string
	for path == "" {
		buffer := make([]byte, 4096)
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if _, told, found := strings.Cut(string(buffer[:n]), "mounted "); found {
			path = strings.TrimSpace(told)
		}
	}
	if mounted(t, path) == "" {
		t.Error("it was never mounted")
	}
	_ = run.Process.Kill()
	_ = run.Wait()
	for end := time.Now().Add(20 * time.Second); mounted(t, path) != ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(mounted(t, path))
		}
	}
}

func TestInnerMounts(t *testing.T) {
	innerOnly(t)
	Mount(t).Hang(Methods("fsync"))
}

func TestInnerIsRefused(t *testing.T) {
	innerOnly(t)
	Mount(t).Hang(Methods("fsnyc"))
}

func TestInnerWaitsInVain(t *testing.T) {
	innerOnly(t)
	Mount(t).Hang(Methods("fsync")).WaitHeld(1, 10*time.Millisecond)
}

func TestInnerLosesItsDaemon(t *testing.T) {
	innerOnly(t)
	m := Mount(t)
	_ = m.daemon.Process.Kill()
	<-m.ended
	m.ended <- errors.New("killed")
	fmt.Printf("mounted %s\n", m.Path)
}

func TestWhatATestSaysWhereItCannotGoOn(t *testing.T) {
	t.Parallel()
	nowhere := "SLOWFS=/nonexistent/slowfs"
	for _, each := range []struct {
		name, says  string
		fails       bool
		environment []string
	}{
		{"TestInnerMounts", "--- PASS", false, nil},
		{"TestInnerMounts", "--- SKIP", false, []string{nowhere, "SLOWFS_REQUIRED=0"}},
		{"TestInnerMounts", "cannot run /nonexistent/slowfs", true, []string{nowhere, "SLOWFS_REQUIRED=1"}},
		{"TestInnerIsRefused", "fsync", true, nil},
		{"TestInnerAppliesWhatIsRefused", "standard input:2: no method mkdri; did you mean mkdir?", true, nil},
		{"TestInnerWaitsInVain", "slowfs list", true, nil},
		{"TestInnerLosesItsDaemon", "did not end well", true, nil},
	} {
		run := again(t, each.name, append(each.environment, "TMPDIR="+t.TempDir())...)
		out, err := run.CombinedOutput()
		if (err != nil) != each.fails || !strings.Contains(string(out), each.says) {
			t.Errorf("%s %v: %v\n%s", each.name, each.environment, err, out)
		}
		if _, told, found := strings.Cut(string(out), "mounted "); found {
			if left := mounted(t, strings.Fields(told)[0]); left != "" {
				t.Error(left)
			}
		}
	}
}

func TestWithoutTheDeviceItIsSkipped(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can take the device away")
	}
	// As in a container that was not given it.
	shut := `mount --bind /dev/fuse /dev/fuse && mount -o remount,bind,nodev /dev/fuse && exec "$@"`
	test := again(t, "TestInnerMounts", "SLOWFS_REQUIRED=0")
	run := exec.Command("unshare", append([]string{"-m", "sh", "-c", shut, "sh"}, test.Args...)...)
	run.Env = test.Env
	out, err := run.CombinedOutput()
	says := "open /dev/fuse: permission denied; in a container pass --device /dev/fuse"
	if err != nil || !strings.Contains(string(out), says) || !strings.Contains(string(out), "--- SKIP") {
		t.Errorf("%v\n%s", err, out)
	}
}
