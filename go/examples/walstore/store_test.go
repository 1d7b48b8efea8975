package walstore_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"slowfs"
	"slowfs/examples/walstore"
)

func open(t *testing.T, fs *slowfs.FS) *walstore.Store {
	t.Helper()
	store, err := walstore.Open(fs.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func put(t *testing.T, store *walstore.Store, key, value string) {
	t.Helper()
	if err := store.Put(key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func expect(t *testing.T, store *walstore.Store, key, want string) {
	t.Helper()
	if got, _ := store.Get(key); got != want {
		t.Errorf("%s is %q, not %q", key, got, want)
	}
}

// While the disk hangs a put waits, and a get does not.
func TestReadersDoNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	fs := slowfs.Mount(t)
	store := open(t, fs)
	put(t, store, "a", "1")
	hang := fs.Hang(slowfs.Methods("fsync"), slowfs.Glob("wal"))
	done := make(chan error, 1)
	go func() { done <- store.Put("a", "2") }()
	hang.WaitHeld(1, 10*time.Second)
	expect(t, store, "a", "1")
	select {
	case err := <-done:
		t.Fatalf("put was done before its sync: %v", err)
	default:
	}
	hang.Clear()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, store, "a", "2")
}

// After a failed sync the kernel may have dropped what was written: to sync again and go on would lose it.
func TestAFailedSyncIsNotForgotten(t *testing.T) {
	t.Parallel()
	fs := slowfs.Mount(t)
	store := open(t, fs)
	put(t, store, "a", "1")
	failing := fs.Error("EIO", slowfs.Methods("fsync"), slowfs.Count(1))
	if err := store.Put("b", "1"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the sync failed, and put says %v", err)
	}
	if fired := failing.Fired(); fired != 1 {
		t.Fatalf("%d syncs failed", fired)
	}
	if err := store.Put("c", "1"); !errors.Is(err, walstore.ErrBroken) {
		t.Fatalf("put goes on after a failed sync: %v", err)
	}
	again := open(t, fs)
	expect(t, again, "a", "1")
	put(t, again, "c", "2")
	expect(t, again, "c", "2")
}

// A record that is torn is cut off, wherever it is torn, and costs none before it.
func TestATornRecordIsCutOff(t *testing.T) {
	t.Parallel()
	for _, kept := range []int{1, 4, 7, 8, 9, 12} {
		kept := kept
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			t.Parallel()
			fs := slowfs.Mount(t)
			store := open(t, fs)
			put(t, store, "a", "1")
			torn := fs.TornWrite(fmt.Sprintf("prefix:%d", kept), slowfs.Methods("write"), slowfs.Count(1),
				slowfs.Also("error EIO"))
			if err := store.Put("b", "a longer value"); !errors.Is(err, syscall.EIO) {
				t.Fatalf("the write failed, and put says %v", err)
			}
			torn.WaitFired(1, time.Second)
			again := open(t, fs)
			expect(t, again, "a", "1")
			expect(t, again, "b", "")
			put(t, again, "c", "3")
			expect(t, open(t, fs), "c", "3")
		})
	}
}
