//! A Java program with threads that compute, wait for one another and make garbage, and with a timer, comes to the known
//! result, while its code is compiled and its memory collected.
//@ needs: [prog:java, prog:javac]
//@ witness: -maps -fds -pss # the program allocates and reads files all the time
//@ timeout: 120
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_programs::Program;
use std::process::Command;

const SOURCE: &str = r#"
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public class Work {
    static final AtomicInteger ticks = new AtomicInteger(), wrong = new AtomicInteger(), rounds = new AtomicInteger();
    static volatile boolean stop;

    static int compute(int x) {
        for (int i = 0; i < 10000; i++) x = x * 69069 + 1;
        return x;
    }

    static void garbage() {
        Map<String, int[]> map = new HashMap<>();
        for (int i = 0; i < 2000; i++) map.put("k" + (i * 7919) % 2003, new int[100]);
        if (map.size() != 2000) wrong.incrementAndGet();
        rounds.incrementAndGet();
    }

    public static void main(String[] arguments) throws Exception {
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
        timer.scheduleAtFixedRate(ticks::incrementAndGet, 1, 1, TimeUnit.MILLISECONDS);
        SynchronousQueue<Integer> questions = new SynchronousQueue<>(), answers = new SynchronousQueue<>();
        Thread worker = new Thread(() -> {
            try {
                for (int question; (question = questions.take()) != 0;) answers.put(compute(question));
            } catch (InterruptedException e) {
                wrong.incrementAndGet();
            }
        });
        Thread waster = new Thread(() -> { while (!stop) garbage(); });
        worker.start();
        waster.start();
        int first = compute(1);
        boolean told = false;
        while (!Files.exists(Path.of("stop"))) {
            questions.put(1);
            if (answers.take() != first) wrong.incrementAndGet();
            if (!told && rounds.get() >= 50 && ticks.get() >= 20) {
                Files.createFile(Path.of("progress"));
                told = true;
            }
        }
        int before = ticks.get();
        while (ticks.get() < before + 10) Thread.sleep(1);
        stop = true;
        questions.put(0);
        worker.join();
        waster.join();
        timer.shutdown();
        System.gc();
        try {
            throw new IllegalStateException("known");
        } catch (IllegalStateException e) {
            System.out.println(e.getMessage() + " " + first + " " + wrong.get() + " " + timer.awaitTermination(10, TimeUnit.SECONDS));
        }
    }
}
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("Work.java"), SOURCE)?;
    let compiled = Command::new("javac").arg("Work.java").output()?;
    check(&format!("javac succeeds: {compiled:?}"), compiled.status.success())?;
    // Without the file of its counters, which is in /tmp and gone when it ends; all threads of its own from the beginning.
    let steady = ["-XX:-UsePerfData", "-XX:-UseDynamicNumberOfCompilerThreads", "-XX:-UseDynamicNumberOfGCThreads"];
    let program = Program::start(gate, "java", &[&steady[..], &["-XX:+UseG1GC", "-Xmx64m", "Work"]].concat())?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let first = (0..10_000).fold(1i32, |x, _| x.wrapping_mul(69_069).wrapping_add(1));
    check_eq("what the program says", program.stop(gate)?, format!("known {first} 0 true\n"))
}
