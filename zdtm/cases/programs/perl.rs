//! perl sorts, matches and counts with an alarm going off all the time and a child behind a pipe; nothing goes wrong.
//@ needs: [prog:perl]
//@ witness: -maps -pss -ShdPnd -SigBlk # the program allocates all the time, and its timer goes off
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_programs::Program;

const SCRIPT: &str = r#"
use strict; use warnings;
use Time::HiRes qw(setitimer ITIMER_REAL);
my $ticks = 0;
$SIG{ALRM} = sub { $ticks++ };
setitimer(ITIMER_REAL, 0.002, 0.002);
my $pid = open(my $to_child, "|-") // die "fork: $!";
if (!$pid) {
    my ($count, $sum) = (0, 0);
    while (<STDIN>) { $count++; $sum += $1 if /^round (\d+)$/ }
    open(my $out, ">", "child") or die; print $out "$count $sum\n"; close($out);
    exit 0;
}
my ($round, $wrong, $at_progress) = (0, 0, 0);
until (-e "stop" && $round >= 20) {
    my %words;
    $words{"word-" . ($_ * 7919 % 1009)} .= "$_," for 0 .. 3000;
    my @sorted = sort { $a cmp $b } keys %words;
    my $text = join ";", map { "$_=$words{$_}" } @sorted;
    my $commas = () = $text =~ /(\d+),/g;
    $wrong++ unless @sorted == 1009 && $commas == 3001 && $sorted[0] eq "word-0" && length($text) == 23883;
    $round++;
    print $to_child "round $round\n";
    if ($round == 10) { $at_progress = $ticks; open(my $p, ">", "progress"); close($p) }
}
my $going = $ticks > $at_progress ? "going" : "stopped";
setitimer(ITIMER_REAL, 0);
close($to_child) or die "child: $?";
print "$round $wrong $going\n";
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = Program::start(gate, "perl", &["-e", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let said = program.stop(gate)?;
    let Some(rounds) = said.split(' ').next().and_then(|n| n.parse::<u64>().ok()) else {
        return fail(format!("the program says {said:?}"));
    };
    check_eq("what the program says", said, format!("{rounds} 0 going\n"))?;
    let child = std::fs::read_to_string(gate.path("child"))?;
    check_eq("what its child says", child, format!("{rounds} {}\n", rounds * (rounds + 1) / 2))
}
