package slowfs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Option is a parameter of a fault, or says where and when it strikes.
type Option []string

func set(name, value string) Option {
	// A value may begin with a hyphen.
	return Option{name + "=" + value}
}

func each(name string, values ...string) Option {
	var option Option
	for _, value := range values {
		option = append(option, name+"="+value)
	}
	return option
}

func flag(name string) Option {
	return Option{name}
}

func joined(values []string) string {
	return strings.Join(values, ",")
}

func numbers(values []int64) string {
	var words []string
	for _, value := range values {
		words = append(words, count(value))
	}
	return joined(words)
}

func count(value int64) string {
	return strconv.FormatInt(value, 10)
}

func share(value float64) string {
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// Fault is a fault in force from when it is made, until Clear or the end of its test. Its counts can be read
// after it has gone, too.
type Fault struct {
	// ID is its number, by which `slowfs list` shows it.
	ID int64
	// Warnings say what it cannot do.
	Warnings []string

	fs *FS
}

// Listed is what `slowfs list` tells of a fault.
type Listed struct {
	// State is "on", "off" for now, or "ended".
	State string
	// Matched is how many operations its methods, path and filters have fitted.
	Matched int64
	// Fired is how many of these it has hit.
	Fired int64
	// Held is how many it holds now.
	Held int64
}

func (m *FS) set(kind, first string, options []Option) *Fault {
	m.t.Helper()
	command := []string{kind}
	if first != "" {
		command = append(command, first)
	}
	for _, option := range options {
		command = append(command, option...)
	}
	fault := &Fault{fs: m}
	m.Ask(fault, command...)
	fault.warn()
	return fault
}

func (m *FS) apply(faults []string, options ...string) []*Fault {
	m.t.Helper()
	var told struct {
		Faults   []*Fault
		Warnings []string
	}
	command := append([]string{"apply", "--file=-"}, options...)
	// Nothing at all would be taken for the output of a command that failed.
	given := strings.Join(faults, "\n") + "\n# no more faults\n"
	if err := m.askGiven(given, &told, command...); err != nil {
		m.t.Fatalf("slowfs: %v", err)
	}
	for _, fault := range told.Faults {
		fault.fs = m
		for _, warning := range told.Warnings {
			if strings.HasPrefix(warning, "fault "+count(fault.ID)+": ") {
				fault.Warnings = append(fault.Warnings, warning)
			}
		}
		fault.warn()
	}
	return told.Faults
}

// Logs what it cannot do.
func (f *Fault) warn() {
	f.fs.t.Helper()
	for _, warning := range f.Warnings {
		f.fs.t.Logf("slowfs: %s", warning)
	}
}

// Listed tells how it is, also if it has gone.
func (f *Fault) Listed() Listed {
	f.fs.t.Helper()
	var told struct{ Faults []Listed }
	f.fs.Ask(&told, "list", count(f.ID))
	if len(told.Faults) != 1 {
		f.fs.t.Fatalf("slowfs list %d: %d faults", f.ID, len(told.Faults))
	}
	return told.Faults[0]
}

// Matched is how many operations its methods, path and filters have fitted.
func (f *Fault) Matched() int64 {
	f.fs.t.Helper()
	return f.Listed().Matched
}

// Fired is how many operations it has hit.
func (f *Fault) Fired() int64 {
	f.fs.t.Helper()
	return f.Listed().Fired
}

// Held is how many operations it holds now.
func (f *Fault) Held() int64 {
	f.fs.t.Helper()
	return f.Listed().Held
}

// WaitFired waits until it has fired n times since it was set; the test fails where it does not within that
// time.
func (f *Fault) WaitFired(n int64, within time.Duration) {
	f.fs.t.Helper()
	f.wait("fired", n, within)
}

// WaitHeld waits until it holds n operations at once, if only for a moment; the test fails where it does not within that time.
func (f *Fault) WaitHeld(n int64, within time.Duration) {
	f.fs.t.Helper()
	f.wait("held", n, within)
}

func (f *Fault) wait(what string, n int64, within time.Duration) {
	f.fs.t.Helper()
	timeout := fmt.Sprintf("--timeout=%dus", within.Microseconds())
	f.fs.Ask(nil, "wait", count(f.ID), "--"+what+"="+count(n), timeout)
}

// Clear lifts it. What it holds is released at once: it runs and succeeds.
func (f *Fault) Clear() {
	f.fs.t.Helper()
	err := f.fs.ask(nil, "clear", count(f.ID))
	// It is no error that it has gone by itself.
	if err != nil && f.Listed().State != "ended" {
		f.fs.t.Fatalf("slowfs: %v", err)
	}
}
