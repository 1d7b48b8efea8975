//! Reading, writing, appending, truncating and syncing.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::calls::{Mapping, aligned};
use super::common::wait_for;
use super::{Rolls, create, errno, fstat, index, kernel_serves, on_fuse, open, open_rw};

cases!(
    random_writes_reads_and_truncations_agree_with_a_model,
    write_past_the_end_leaves_zeros_between,
    read_past_the_end_is_empty_and_across_it_short,
    empty_reads_and_writes_do_nothing,
    large_transfers_go_through_in_one_call,
    vectors_are_read_and_written_in_order,
    handles_see_each_others_writes,
    write_only_handle_changes_part_of_a_page,
    access_mode_binds_a_handle,
    syncs_succeed_on_every_kind_of_handle,
    synchronous_handles_write_through,
    direct_io_reads_and_writes_aligned_blocks,
    direct_and_buffered_handles_agree,
    poll_finds_a_file_always_ready,
    epoll_takes_a_file_on_a_mirror_only,
    sendfile_and_splice_move_the_content,
    programs_run_from_the_directory,
    duplicated_descriptors_share_the_offset,
    handles_outlive_many_others,
    concurrent_writers_of_one_file_keep_to_their_places,
);

fn random_writes_reads_and_truncations_agree_with_a_model(dir: &Path) {
    let mut rolls = Rolls(42);
    let file = create(dir.join("f"));
    let mut model: Vec<u8> = Vec::new();
    for step in 0..600 {
        let at = rolls.below(200_000);
        let len = index(rolls.below(20_000));
        match rolls.below(10) {
            0..=4 => {
                let data = vec![(step % 255) as u8 + 1; len];
                file.write_all_at(&data, at).unwrap();
                if len > 0 {
                    model.resize(model.len().max(index(at) + len), 0);
                    model[index(at)..index(at) + len].copy_from_slice(&data);
                }
            }
            5 => {
                file.set_len(at).unwrap();
                model.resize(index(at), 0);
            }
            6 => {
                let read = fs::read(dir.join("f")).unwrap();
                assert!(read == model, "step {step}: the whole file differs");
            }
            _ => {
                let mut data = vec![0; len];
                let got = file.read_at(&mut data, at).unwrap();
                let from = model.len().min(index(at));
                let to = model.len().min(index(at) + len);
                assert!(data[..got] == model[from..to], "step {step}: {len} bytes at {at}");
            }
        }
        assert_eq!(fstat(&file).st_size, i64::try_from(model.len()).unwrap(), "step {step}");
    }
    assert!(fs::read(dir.join("f")).unwrap() == model);
}

fn write_past_the_end_leaves_zeros_between(dir: &Path) {
    let file = create(dir.join("f"));
    file.write_all_at(b"x", 10_000).unwrap();
    let content = fs::read(dir.join("f")).unwrap();
    assert_eq!(content.len(), 10_001);
    assert!(content[..10_000].iter().all(|b| *b == 0));
    assert_eq!(content[10_000], b'x');
}

fn read_past_the_end_is_empty_and_across_it_short(dir: &Path) {
    let file = create(dir.join("f"));
    file.write_all_at(b"0123456789", 0).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 6).unwrap(), 4);
    assert_eq!(&buffer[..4], b"6789");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
}

fn empty_reads_and_writes_do_nothing(dir: &Path) {
    let file = create(dir.join("f"));
    assert_eq!(file.write_at(b"", 100).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(fstat(&file).st_size, 0);
}

fn large_transfers_go_through_in_one_call(dir: &Path) {
    let size = 3 * (1 << 20) + 17;
    let mut rolls = Rolls(7);
    let data: Vec<u8> = (0..size).map(|_| rolls.below(256) as u8).collect();
    let file = create(dir.join("f"));
    assert_eq!(file.write_at(&data, 0).unwrap(), size);
    let mut back = vec![0; size + 1];
    assert_eq!(file.read_at(&mut back, 0).unwrap(), size);
    assert!(back[..size] == data);
    let again = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let mut back = vec![0; size];
    again.read_exact_at(&mut back, 0).unwrap();
    assert!(back == data);
}

fn vectors_are_read_and_written_in_order(dir: &Path) {
    let file = create(dir.join("f"));
    let parts = [b"one ".as_slice(), b"", b"two ", &[b'x'; 5000]];
    let written = rustix::io::pwritev(&file, &parts.map(IoSlice::new), 3).unwrap();
    assert_eq!(written, 5008);
    let (mut head, mut tail) = ([0; 7], [0; 5004]);
    let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    assert_eq!(rustix::io::preadv(&file, &mut buffers, 0).unwrap(), 5011);
    assert_eq!(&head, b"\0\0\0one ");
    assert_eq!(&tail[..5], b"two x");
}

fn handles_see_each_others_writes(dir: &Path) {
    let first = create(dir.join("f"));
    let second = open_rw(dir.join("f"));
    let third = open(dir.join("f"), OFlags::RDONLY).unwrap();
    for n in 0..100u64 {
        let writer = if n % 2 == 0 { &first } else { &second };
        writer.write_all_at(&[n as u8; 100], n * 100).unwrap();
        let mut buffer = [0; 100];
        third.read_exact_at(&mut buffer, n * 100).unwrap();
        assert_eq!(buffer, [n as u8; 100]);
        assert_eq!(fstat(&third).st_size, i64::try_from(n * 100 + 100).unwrap());
    }
}

fn write_only_handle_changes_part_of_a_page(dir: &Path) {
    fs::write(dir.join("f"), vec![b'.'; 10_000]).unwrap();
    let writer = open(dir.join("f"), OFlags::WRONLY).unwrap();
    writer.write_all_at(b"changed", 5000).unwrap();
    let content = fs::read(dir.join("f")).unwrap();
    assert_eq!(&content[4998..5009], b"..changed..");
    assert_eq!(content.len(), 10_000);
    assert_eq!(content.iter().filter(|b| **b == b'.').count(), 9_993);
}

fn access_mode_binds_a_handle(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let writer = open(dir.join("f"), OFlags::WRONLY).unwrap();
    assert_eq!(errno(reader.write_at(b"x", 0)), Errno::BADF);
    assert_eq!(errno(writer.read_at(&mut [0; 4], 0)), Errno::BADF);
    assert_eq!(errno(rustix::fs::ftruncate(&reader, 0)), Errno::INVAL);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"content");
}

fn syncs_succeed_on_every_kind_of_handle(dir: &Path) {
    fs::write(dir.join("f"), "x").unwrap();
    for flags in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
        let file = open(dir.join("f"), flags).unwrap();
        file.sync_all().unwrap();
        file.sync_data().unwrap();
    }
    let directory = open(dir, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    directory.sync_all().unwrap();
    directory.sync_data().unwrap();
    rustix::fs::syncfs(&directory).unwrap();
}

fn synchronous_handles_write_through(dir: &Path) {
    for (name, flag) in [("sync", OFlags::SYNC), ("dsync", OFlags::DSYNC)] {
        let flags = OFlags::RDWR | OFlags::CREATE | flag;
        let mut file = open(dir.join(name), flags).unwrap();
        file.write_all(b"one ").unwrap();
        file.write_all(b"two").unwrap();
        assert_eq!(fs::read(dir.join(name)).unwrap(), b"one two");
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::DSYNC;
    let mut log = open(dir.join("log"), flags).unwrap();
    log.write_all(b"one ").unwrap();
    log.write_all(b"two").unwrap();
    assert_eq!(fs::read(dir.join("log")).unwrap(), b"one two");
}

fn filled(len: usize, byte: u8) -> Mapping {
    let mut buffer = aligned(len);
    buffer.fill(byte);
    buffer
}

fn direct_io_reads_and_writes_aligned_blocks(dir: &Path) {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT;
    let file = open(dir.join("f"), flags).unwrap();
    for n in 0..8u8 {
        let written = file.write_at(&filled(8192, n + 1), u64::from(n) * 8192).unwrap();
        assert_eq!(written, 8192);
    }
    let mut back = aligned(8192);
    for n in 0..8u8 {
        assert_eq!(file.read_at(&mut back, u64::from(n) * 8192).unwrap(), 8192);
        assert!(back.iter().all(|b| *b == n + 1));
    }
    assert_eq!(file.read_at(&mut back, 65_536).unwrap(), 0);
    assert_eq!(file.read_at(&mut back, 61_440).unwrap(), 4096);
    // What FUSE copies needs no alignment, and some filesystems on a disk can do without too.
    match file.write_at(&back[1..4097], 0) {
        Err(error) if !on_fuse(dir) || kernel_serves() => {
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL))
        }
        written => assert_eq!(written.unwrap(), 4096),
    }
    file.sync_all().unwrap();
    let append = OFlags::WRONLY | OFlags::APPEND | OFlags::DIRECT;
    let mut log = open(dir.join("f"), append).unwrap();
    log.write_all(&filled(4096, b'e')).unwrap();
    assert_eq!(fs::read(dir.join("f")).unwrap()[65_536..], [b'e'; 4096]);
}

fn direct_and_buffered_handles_agree(dir: &Path) {
    let buffered = create(dir.join("f"));
    let direct = open(dir.join("f"), OFlags::RDWR | OFlags::DIRECT).unwrap();
    let mut read = [0; 8192];
    for n in 0..20u8 {
        buffered.write_all_at(&[n; 8192], 0).unwrap();
        let mut back = aligned(8192);
        direct.read_exact_at(&mut back, 0).unwrap();
        assert!(back.iter().all(|b| *b == n));
        direct.write_all_at(&filled(4096, 100 + n), 4096).unwrap();
        buffered.read_exact_at(&mut read, 0).unwrap();
        assert_eq!((read[4095], read[4096], read[8191]), (n, 100 + n, 100 + n));
    }
}

fn poll_finds_a_file_always_ready(dir: &Path) {
    let file = create(dir.join("f"));
    let mut polled = [PollFd::new(&file, PollFlags::IN | PollFlags::OUT)];
    assert_eq!(rustix::event::poll(&mut polled, None).unwrap(), 1);
    assert_eq!(polled[0].revents(), PollFlags::IN | PollFlags::OUT);
    let mut polled = [PollFd::new(&file, PollFlags::IN | PollFlags::PRI | PollFlags::RDNORM)];
    assert_eq!(rustix::event::poll(&mut polled, None).unwrap(), 1);
    assert_eq!(polled[0].revents(), PollFlags::IN | PollFlags::RDNORM);
}

fn epoll_takes_a_file_on_a_mirror_only(dir: &Path) {
    use rustix::event::epoll;
    let file = create(dir.join("f"));
    let watch = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let added = epoll::add(&watch, &file, epoll::EventData::new_u64(7), epoll::EventFlags::IN);
    if !on_fuse(dir) {
        return assert_eq!(errno(added), Errno::PERM);
    }
    // Every file of a FUSE filesystem can be polled, whether it has a use for that or not.
    added.unwrap();
    let mut events = Vec::with_capacity(2);
    epoll::wait(&watch, rustix::buffer::spare_capacity(&mut events), None).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!({ events[0].flags }, epoll::EventFlags::IN);
}

fn sendfile_and_splice_move_the_content(dir: &Path) {
    let data: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
    fs::write(dir.join("f"), &data).unwrap();
    let source = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let sent = create(dir.join("sent"));
    let mut offset = 0;
    while rustix::fs::sendfile(&sent, &source, Some(&mut offset), 60_000).unwrap() > 0 {}
    assert!(fs::read(dir.join("sent")).unwrap() == data);

    let spliced = create(dir.join("spliced"));
    let (output, input) = rustix::pipe::pipe().unwrap();
    let (mut from, mut to) = (0, 0);
    let none = rustix::pipe::SpliceFlags::empty();
    loop {
        let moved =
            rustix::pipe::splice(&source, Some(&mut from), &input, None, 8192, none).unwrap();
        if moved == 0 {
            break;
        }
        let mut left = moved;
        while left > 0 {
            left -=
                rustix::pipe::splice(&output, None, &spliced, Some(&mut to), left, none).unwrap();
        }
    }
    assert!(fs::read(dir.join("spliced")).unwrap() == data);
}

fn programs_run_from_the_directory(dir: &Path) {
    fs::copy("/bin/echo", dir.join("echo")).unwrap();
    assert_eq!(said_by(Command::new(dir.join("echo")).arg("said")), "said\n");
    fs::write(dir.join("script"), "#!/bin/sh\npwd\n").unwrap();
    let mut script = Command::new(dir.join("script"));
    script.current_dir(dir);
    assert_eq!(errno(script.output()), Errno::ACCESS);
    super::chmod(dir.join("script"), 0o755).unwrap();
    assert_eq!(said_by(&mut script).trim_end(), dir.to_str().unwrap());
}

/// Runs a program, as soon as it may run: a process that another test is starting has every
/// descriptor until it execs, that for writing the program too.
fn said_by(command: &mut Command) -> String {
    let output = wait_for("the program to be written by nobody", || match command.output() {
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => None,
        ran => Some(ran.unwrap()),
    });
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn duplicated_descriptors_share_the_offset(dir: &Path) {
    let mut file = create(dir.join("f"));
    let mut twin = file.try_clone().unwrap();
    file.write_all(b"one ").unwrap();
    twin.write_all(b"two").unwrap();
    assert_eq!(file.stream_position().unwrap(), 7);
    drop(file);
    twin.seek(SeekFrom::Start(0)).unwrap();
    let mut content = String::new();
    twin.read_to_string(&mut content).unwrap();
    assert_eq!(content, "one two");
}

fn handles_outlive_many_others(dir: &Path) {
    let kept: Vec<File> = (0..50).map(|n| create(dir.join(format!("kept{n}")))).collect();
    for round in 0..200 {
        let passing = create(dir.join(format!("passing{round}")));
        passing.write_all_at(b"passing", 0).unwrap();
        rustix::fs::fadvise(&passing, 0, None, Advice::Sequential).unwrap();
        fs::remove_file(dir.join(format!("passing{round}"))).unwrap();
    }
    for (n, file) in kept.iter().enumerate() {
        file.write_all_at(format!("file {n}").as_bytes(), 0).unwrap();
    }
    for n in 0..kept.len() {
        let content = fs::read_to_string(dir.join(format!("kept{n}"))).unwrap();
        assert_eq!(content, format!("file {n}"));
    }
}

fn concurrent_writers_of_one_file_keep_to_their_places(dir: &Path) {
    let file = create(dir.join("f"));
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let file = &file;
            scope.spawn(move || {
                for n in 0..64u64 {
                    let at = (n * 4 + writer) * 1000;
                    file.write_all_at(&[writer as u8 + 1; 1000], at).unwrap();
                }
            });
        }
    });
    let content = fs::read(dir.join("f")).unwrap();
    assert_eq!(content.len(), 256_000);
    for (n, block) in content.chunks(1000).enumerate() {
        assert!(block.iter().all(|b| usize::from(*b) == n % 4 + 1), "block {n}");
    }
}
