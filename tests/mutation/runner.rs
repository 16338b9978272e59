//! Asks for every mutant whether `wgrad verify` finds it. The parent only composes and validates; each mutant runs in a
//! child process, so that what crashes or hangs harms nobody. What is known is kept below `target/mutation`, under a hash of
//! the file and the change: a later run asks only what is new.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wgrad::gpu::compose::{Module, compose_with};
use wgrad::gpu::reflect::reflect;

use crate::operators::Mutant;
use crate::stages::{modules, stages};

/// Children at a time.
const CHILDREN: usize = 2;
/// How long a child may take: this, and so many times as long as the right shader takes.
const PATIENCE: (Duration, u32) = (Duration::from_secs(8), 6);

/// The program that is asked: the one just built, or a copy of it, so that building goes on meanwhile.
fn program() -> PathBuf {
    std::env::var_os("MUTATION_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_wgrad").into(), PathBuf::from)
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// `verify` failed.
    Killed,
    /// `verify` passed.
    Survived,
    /// It is no shader.
    NotCompiling,
}

/// What is known of a mutant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    key: String,
    /// The program and its cases that were asked; who survived is asked again by others.
    program: String,
    /// What became of it.
    pub fate: Fate,
    /// The replacement that was taken.
    pub choice: usize,
    /// What found it, or how it does not compile.
    pub by: String,
}

/// The text of a shader as the program has it.
pub fn text(file: &str) -> &'static str {
    wgrad::gpu::sources::source(file).unwrap().map(|(_, text)| text).unwrap_or_default()
}

/// Why a wrong version is no shader; nothing where it is one.
fn problem(modules: &[Module], file: &str, wrong: &str) -> Option<String> {
    // Not written out, a file is the same program, and a hundred times shorter; but a broadcast wants a constant lane.
    let rolled = wrong.replace("//#unroll", "//").replace("subgroupBroadcast", "subgroupShuffle");
    let texts = HashMap::from([(file, rolled.as_str())]);
    modules.iter().find_map(|module| {
        let reflected = compose_with(module, &texts).and_then(|source| reflect(&source));
        reflected.err().map(|error| error.to_string())
    })
}

/// The first choice that is a shader and differs from the right one, or why none is.
pub fn choose(mutant: &Mutant, modules: &[Module]) -> Result<usize, String> {
    let right = text(mutant.file);
    let mut why = String::from("nothing changes");
    for (number, choice) in mutant.choices.iter().enumerate() {
        if *choice == right[mutant.at.clone()] {
            continue;
        }
        match problem(modules, mutant.file, &mutant.apply(right, choice)) {
            None => return Ok(number),
            Some(problem) => why = problem,
        }
    }
    Err(why)
}

/// A memory of verdicts on disk.
pub struct Memory {
    program: String,
    known: HashMap<String, Verdict>,
    log: File,
}

/// Where everything is kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target")).join("mutation")
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Memory {
    /// Reads what is known.
    pub fn open() -> Self {
        fs::create_dir_all(folder()).unwrap();
        let path = folder().join("verdicts.jsonl");
        let lines = fs::read_to_string(&path).unwrap_or_default();
        let known = lines.lines().filter_map(|line| serde_json::from_str::<Verdict>(line).ok());
        let known = known.map(|verdict| (verdict.key.clone(), verdict)).collect();
        let log = File::options().create(true).append(true).open(path).unwrap();
        let program = hash(&[&fs::read(program()).unwrap()]);
        Self { program, known, log }
    }

    fn key(mutant: &Mutant) -> String {
        let place = format!("{:?}{:?}", mutant.at, mutant.choices);
        hash(&[mutant.file.as_bytes(), text(mutant.file).as_bytes(), place.as_bytes()])
    }

    /// The last that was known of a mutant.
    pub fn last(&self, mutant: &Mutant) -> Option<Verdict> {
        self.known.get(&Self::key(mutant)).cloned()
    }

    /// Whether what is known of a mutant still holds.
    fn settled(&self, mutant: &Mutant) -> bool {
        let holds = |found: &Verdict| found.fate != Fate::Survived || found.program == self.program;
        self.known.get(&Self::key(mutant)).is_some_and(holds)
    }

    fn keep(&mut self, verdict: Verdict) {
        writeln!(self.log, "{}", serde_json::to_string(&verdict).unwrap()).unwrap();
        self.known.insert(verdict.key.clone(), verdict);
    }
}

/// How a child ended.
enum End {
    Passed,
    Failed(String),
    Late,
    Broken(String),
}

/// Runs `verify` with a folder of shaders.
fn child(place: &Path, arguments: &[&str], patience: Duration) -> End {
    let output = place.join("output.jsonl");
    let mut child = Command::new(program())
        .args(["verify", "--json", "--fail-fast"])
        .args(arguments)
        .env("WGRAD_SHADERS", place.join("shaders"))
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > patience => {
                child.kill().unwrap();
                child.wait().unwrap();
                return End::Late;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.success() {
        return End::Passed;
    }
    let told = fs::read_to_string(&output).unwrap_or_default();
    let mut failed = told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let Some(case) = failed.find(|event| event["verdict"] == "failed") else {
        return End::Failed(format!("{status}"));
    };
    let word = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let reason = word("reason");
    // A shader that compiles as it stands may not do so with the constants that the host sets.
    // That a buffer is used no more is the host's complaint about a shader that does compile.
    if reason.contains(".wgsl:") && !reason.contains("the entry point uses no operand") {
        return End::Broken(reason);
    }
    End::Failed(format!("{} {} {} {}", word("operator"), word("direction"), word("variant"), word("case")))
}

/// Asks for the fates of those mutants of a file that are not known, and remembers them.
pub fn ask(file: &'static str, mutants: &[Mutant], memory: &Mutex<Memory>) {
    let modules = modules(file);
    let queue: Mutex<VecDeque<usize>> =
        Mutex::new((0..mutants.len()).filter(|&number| !memory.lock().unwrap().settled(&mutants[number])).collect());
    if !queue.lock().unwrap().is_empty() {
        let stages = timed(file);
        std::thread::scope(|scope| {
            for worker in 0..CHILDREN {
                let (queue, modules, stages) = (&queue, &modules, &stages);
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().unwrap().pop_front();
                        let Some(number) = next else { break };
                        let verdict =
                            one(&mutants[number], modules, stages, worker, &memory.lock().unwrap().program.clone());
                        memory.lock().unwrap().keep(verdict);
                    }
                });
            }
        });
    }
}

type Stage = (Vec<&'static str>, Duration);

/// The stages of a file with how long each may take; the right shader passes them all.
fn timed(file: &str) -> Vec<Stage> {
    let place = place(file, text(file), CHILDREN);
    let time = |arguments: Vec<&'static str>| {
        let started = Instant::now();
        let end = child(&place, &arguments, Duration::from_secs(300));
        assert!(matches!(end, End::Passed), "the right {file} does not pass {arguments:?}");
        (arguments, PATIENCE.0 + started.elapsed() * PATIENCE.1)
    };
    stages(file).into_iter().map(time).collect()
}

/// A folder of a worker's own with one shader in it.
fn place(file: &str, text: &str, worker: usize) -> PathBuf {
    let place = folder().join(format!("worker{}_{worker}", std::process::id()));
    let shaders = place.join("shaders");
    let _ = fs::remove_dir_all(&shaders);
    fs::create_dir_all(shaders.join("shared")).unwrap();
    fs::write(shaders.join(file), text).unwrap();
    place
}

/// Asks for a mutant without looking into the memory.
pub fn fate(mutant: &Mutant) -> Verdict {
    let stages: Vec<Stage> = stages(mutant.file).into_iter().map(|stage| (stage, Duration::from_secs(120))).collect();
    one(mutant, &modules(mutant.file), &stages, 0, "")
}

fn one(mutant: &Mutant, modules: &[Module], stages: &[Stage], worker: usize, program: &str) -> Verdict {
    let (key, program) = (Memory::key(mutant), program.to_owned());
    let choice = match choose(mutant, modules) {
        Ok(choice) => choice,
        Err(by) => return Verdict { key, program, fate: Fate::NotCompiling, choice: 0, by },
    };
    let place = place(mutant.file, &mutant.apply(text(mutant.file), &mutant.choices[choice]), worker);
    for (arguments, patience) in stages {
        let end = match child(&place, arguments, *patience) {
            // A busy machine is no verdict: who hangs does so again, with twice the time.
            End::Late => child(&place, arguments, *patience * 2),
            end => end,
        };
        let (fate, by) = match end {
            End::Passed => continue,
            End::Late => (Fate::Killed, "time".into()),
            End::Failed(by) => (Fate::Killed, by),
            End::Broken(by) => (Fate::NotCompiling, by),
        };
        return Verdict { key, program, fate, choice, by };
    }
    Verdict { key, program, fate: Fate::Survived, choice, by: String::new() }
}
