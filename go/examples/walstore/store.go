// Package walstore is a small database, as the example of what is tested with slowfs: a map that is kept by a
// log of what was put.
//
// A record is the length of its text, a checksum, and the text `key=value`. What Put has answered without an
// error is there for good. After a failed sync nobody knows what of the log is on the disk, so the store then
// takes nothing more until it is opened again.
package walstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// ErrBroken is what Put answers once a write or a sync has failed.
var ErrBroken = errors.New("the log is in doubt: open the store again")

const header = 8

// Store is an open store.
type Store struct {
	// Readers do not wait for the disk: writers hold this one for the map only.
	mu     sync.RWMutex
	values map[string]string

	// Writers take turns.
	log    sync.Mutex
	file   *os.File
	broken bool
}

// Open reads the log in that directory up to the first record that is not whole, and cuts off what follows.
func Open(dir string) (*Store, error) {
	file, err := os.OpenFile(filepath.Join(dir, "wal"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	s := &Store{values: map[string]string{}, file: file}
	if err := s.recover(dir); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) recover(dir string) error {
	log, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := int64(0)
	for rest := log; len(rest) >= header; {
		n := int(binary.LittleEndian.Uint32(rest))
		if n == 0 || len(rest) < header+n {
			break
		}
		text := rest[header : header+n]
		if crc32.ChecksumIEEE(text) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		if key, value, found := bytes.Cut(text, []byte("=")); found {
			s.values[string(key)] = string(value)
		}
		whole += int64(header + n)
		rest = rest[header+n:]
	}
	if err := s.file.Truncate(whole); err != nil {
		return err
	}
	if _, err := s.file.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	// The name of a new log is as good as its content only once the directory is synced.
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

// Put is done when the value is on the disk.
func (s *Store) Put(key, value string) error {
	text := []byte(key + "=" + value)
	record := make([]byte, header, header+len(text))
	binary.LittleEndian.PutUint32(record, uint32(len(text)))
	binary.LittleEndian.PutUint32(record[4:], crc32.ChecksumIEEE(text))
	record = append(record, text...)
	s.log.Lock()
	defer s.log.Unlock()
	if s.broken {
		return ErrBroken
	}
	_, err := s.file.Write(record)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.broken = true
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	return nil
}

// Get answers what was put last.
func (s *Store) Get(key string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	value, found := s.values[key]
	return value, found
}

// Close lets go of the log.
func (s *Store) Close() error {
	return s.file.Close()
}
