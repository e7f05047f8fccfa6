// SPDX-License-Identifier: GPL-2.0

//! Threads of Rust, for tests/clients/rust.sh.
//!
//! usage: threads-rust wait N       N threads wait while /clients/stacks looks at their
//!                                  stacks
//!        threads-rust overflow N   a thread uses 1 MiB more than its stack; the stacks of
//!                                  N other threads are below it
use std::hint::black_box;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

const STACK: usize = 256 << 10;

fn start(run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap()
}

fn use_stack(pages: usize) -> u8 {
    let page = black_box([1u8; 4096]);
    if pages == 0 { page[0] } else { page[1] + black_box(use_stack(pages - 1)) - page[2] }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let count: usize = arguments[2].parse().unwrap();
    let overflow = arguments[1] == "overflow";
    let started = Arc::new(Barrier::new(count + 1));
    let finish = Arc::new(Barrier::new(count + 1));
    let go = Arc::new(Barrier::new(2));

    // glibc puts each stack right below the one before.
    let first = overflow.then(|| {
        let go = go.clone();
        start(move || {
            go.wait();
            black_box(use_stack((STACK + (1 << 20)) / 4096));
            println!("nothing happened");
            std::process::exit(0);
        })
    });
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (started, finish) = (started.clone(), finish.clone());
            start(move || {
                started.wait();
                finish.wait();
            })
        })
        .collect();
    started.wait();
    if let Some(first) = first {
        go.wait();
        first.join().unwrap();
    }
    let looked = Command::new("/clients/stacks").arg(std::process::id().to_string()).status();
    assert!(looked.unwrap().success());
    finish.wait();
    for thread in threads {
        thread.join().unwrap();
    }
}
