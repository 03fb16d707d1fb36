//! sqlite3 in mid-transaction keeps its locks and its journal, shuts others out, and commits what was begun.
//@ needs: [prog:sqlite3]
//@ options: --file-locks
//@ timeout: 60
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_programs::Program;
use crate::tools_relatives::await_call;
use std::process::Command;

const ROWS: u64 = 20_000;

const BEGIN: &str = "
create table t(id integer primary key, square int, name text);
insert into t values (0, 0, 'before');
pragma cache_size = 20;
begin;
with recursive n(i) as (values(1) union all select i + 1 from n where i < 20000)
    insert into t select i, i * i, 'row ' || i from n;
create index by_name on t(name);
.shell touch progress
";

const END: &str = "
insert into t values (20001, 0, 'after');
commit;
select count(*), sum(square), max(id) from t;
select name from t where name = 'row 12345';
pragma integrity_check;
";

pub fn run(gate: &mut Gate) -> Verdict {
    let mut program = Program::start_fed(gate, "sqlite3", &["-batch", "data.db"])?;
    program.feed(BEGIN)?;
    program.await_progress(gate)?;
    await_call(program.pid, libc::SYS_read)?;
    check("there is a journal", gate.path("data.db-journal").exists())?;
    gate.checkpoint()?;
    let stranger = Command::new("sqlite3").args(["-batch", "data.db", "insert into t values (-1, 0, '')"]).output()?;
    check("another process is shut out", !stranger.status.success())?;
    let complaint = String::from_utf8_lossy(&stranger.stderr).into_owned();
    check(&format!("because the data base is locked: {complaint}"), complaint.contains("locked"))?;
    program.feed(END)?;
    let squares: u64 = (1..=ROWS).map(|i| i * i).sum();
    let want = format!("{}|{squares}|{}\nrow 12345\nok\n", ROWS + 2, ROWS + 1);
    check_eq("what the program says", program.finish(gate)?, want)?;
    check_eq("the journal in the end", gate.path("data.db-journal").exists(), false)
}
