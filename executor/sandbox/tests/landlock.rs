//! Rights that Landlock takes from a command, and that mounts, owners and the system call filter leave it. (On a kernel without
//! Landlock 6, from Linux 6.12 on, this fails: what it looks at is not there.)
mod support;

use support::Machine;

#[tokio::test]
async fn the_command_has_no_more_than_it_needs() {
    let machine = Machine::open().await;
    for (command, expected) in [
        // Its own user's process outside of its domain: bubblewrap, which tells how it ended.
        ("kill -0 1 2>/dev/null || echo refused", "refused"),
        ("kill -0 $$ && sh -c 'kill -0 $PPID' && echo allowed", "allowed"),
        // Memory of its own user, with nothing to be written but through devices.
        ("touch /dev/x 2>/dev/null || echo refused", "refused"),
        ("mkdir /dev/x 2>/dev/null || echo refused", "refused"),
        ("echo gone > /dev/null && test -c /dev/null && echo allowed", "allowed"),
        ("head -c 1 /dev/urandom | wc -c", "1"),
        (
            "for d in /workspace /tmp /home/runner /dev/shm; do mkdir $d/a $d/b && touch $d/a/x && mv $d/a/x $d/b/ && ln $d/b/x $d/a/y && rm -r $d/a $d/b && echo $d; done",
            "/workspace\n/tmp\n/home/runner\n/dev/shm",
        ),
        (
            "mkfifo /tmp/f && python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/tmp/s')\" && echo allowed",
            "allowed",
        ),
        ("printf named > /proc/self/comm && echo allowed", "allowed"),
        ("python3 -c \"import os; m, s = os.openpty(); os.write(m, b'x'); print(os.ttyname(s)[:9])\"", "/dev/pts/"),
        ("printf '#!/bin/sh\\necho executed\\n' > /tmp/p && chmod +x /tmp/p && /tmp/p", "executed"),
        ("ls /proc/self/fd | wc -l", "4"),
    ] {
        let outcome = machine.run(command).await;
        assert_eq!(outcome.out(), expected, "{command}: {}", outcome.err());
    }
}
