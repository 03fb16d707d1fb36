//! A program of liburing copies through registered buffers, and checks every completion; the library remembers heads and
//! tails in its own memory.
//@ needs: [kernel:io_uring, prog:gcc, "cc:-luring"]
//@ witness: -tasks -threads # the program is at work
//@ timeout: 60
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_programs::Program;

const SOURCE: &str = r#"
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define SIZE 4096
static char buffers[4][SIZE];
int main(void) {
    struct io_uring ring;
    struct iovec list[4];
    int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || io_uring_queue_init(16, &ring, 0)) return 10;
    for (int i = 0; i < 4; i++) list[i] = (struct iovec){ buffers[i], SIZE };
    if (io_uring_register_buffers(&ring, list, 4) || io_uring_register_files(&ring, &fd, 1)) return 11;
    unsigned rounds = 0;
    do {
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < 4; i++) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
                if (!sqe) return 12;
                if (half) io_uring_prep_read_fixed(sqe, 0, buffers[i], SIZE, i * SIZE, i);
                else {
                    memset(buffers[i], 'a' + (rounds + i) % 26, SIZE);
                    io_uring_prep_write_fixed(sqe, 0, buffers[i], SIZE, i * SIZE, i);
                }
                sqe->flags |= IOSQE_FIXED_FILE;
                sqe->user_data = rounds * 8ULL + half * 4 + i;
            }
            if (io_uring_submit(&ring) != 4) return 13;
            int seen = 0;
            for (int i = 0; i < 4; i++) {
                struct io_uring_cqe *cqe;
                if (io_uring_wait_cqe(&ring, &cqe) || cqe->res != SIZE) return 14;
                if (cqe->user_data / 4 != rounds * 2ULL + half) return 15;
                seen |= 1 << cqe->user_data % 4;
                io_uring_cqe_seen(&ring, cqe);
            }
            if (seen != 15) return 16;
            if (!half) memset(buffers, 0, sizeof buffers);
        }
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < SIZE; k++)
                if (buffers[i][k] != (char)('a' + (rounds + i) % 26)) return 17;
        if (++rounds == 100) close(open("progress", O_CREAT | O_WRONLY, 0600));
        usleep(2000);
    } while (access("stop", F_OK));
    printf("%u\n", rounds);
    return 0;
}
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("copy.c"), SOURCE)?;
    let made = std::process::Command::new("gcc").args(["-O1", "-o", "copy", "copy.c", "-luring"]).status()?;
    check_eq("whether gcc made the program", made.code(), Some(0))?;
    let program = Program::start(gate, "./copy", &[])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    let rounds: u32 = program.stop(gate)?.trim().parse()?;
    check("the program went on", rounds > 150)
}
