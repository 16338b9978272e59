//! Every program that a plan can hold: the kernels of all cases of the sweep, in all variants, on all kinds of devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use wgrad::gpu::Module;
use wgrad::gpu::compose::{compose, files};
use wgrad::gpu::reflect::{Entry, Kind, needs_subgroups, parse, reflect};
use wgrad::kernels::{self, Dispatch, Lowered};
use wgrad::ops::Operator;
use wgrad::verify::case::Depth;
pub use wgrad::verify::export::DEVICES;
use wgrad::verify::sweep::cases;

/// One entry point of one program, and who uses it.
pub struct Kernel {
    pub module: Module,
    pub entry: Entry,
    /// The program as naga sees it.
    pub naga: Arc<(naga::Module, naga::valid::ModuleInfo)>,
    /// Whether the program uses subgroups.
    pub subgroups: bool,
    /// Operators with the variant that takes this kernel.
    pub operators: BTreeSet<(&'static str, &'static str)>,
    /// The kinds of devices that are offered it, by their number in [`DEVICES`].
    pub devices: BTreeSet<usize>,
    /// The most and the fewest loop iterations that a dispatch of it declared.
    pub trips: [usize; 2],
}

impl Kernel {
    /// File, specialisation and entry point.
    pub fn title(&self) -> String {
        format!("{}, {}", title(&self.module), self.entry.name)
    }

    /// Whether it uses subgroups to add up workgroups, which go without where there are none.
    pub fn folds(&self) -> bool {
        self.module.links.iter().any(|(_, file)| *file == "shared/fold_subgroups.wgsl")
    }

    /// Whether only devices that compute on a CPU are offered it.
    pub fn cpu_only(&self) -> bool {
        self.devices.iter().all(|&device| DEVICES[device].1.cpu)
    }

    pub fn storage_buffers(&self) -> usize {
        self.entry.bindings.iter().filter(|binding| matches!(binding.kind, Kind::Storage { .. })).count()
    }

    pub fn storage_textures(&self) -> usize {
        self.entry.bindings.iter().filter(|binding| binding.kind == Kind::Texture).count()
    }

    pub fn invocations(&self) -> u32 {
        self.entry.workgroup_size.iter().product()
    }
}

/// File and specialisation.
pub fn title(module: &Module) -> String {
    let constants = module.constants.iter().map(|(name, value)| format!("{name} = {value}"));
    let links = module.links.iter().map(|(import, file)| format!("{import} → {file}"));
    let special: Vec<String> = constants.chain(links).collect();
    if special.is_empty() { module.file.to_owned() } else { format!("{} ({})", module.file, special.join(", ")) }
}

/// Every case of the sweep lowered in every variant for every kind of device: calls `each` with the number of the device, the
/// operator's name and what it became.
pub fn lower_all(mut each: impl FnMut(usize, &'static str, &Lowered)) {
    for (device, (_, caps)) in DEVICES.iter().enumerate() {
        for case in cases(Depth::Standard, caps) {
            for variant in kernels::known(&case.op) {
                let lowered = case.lowered(variant.name, caps);
                let lowered = lowered.unwrap_or_else(|e| panic!("{} / {}: {e}", case.op.name(), case.name));
                lowered.iter().for_each(|lowered| each(device, case.op.name(), lowered));
            }
        }
    }
}

/// What is found out about a program once.
struct Program {
    entries: Vec<Entry>,
    naga: Arc<(naga::Module, naga::valid::ModuleInfo)>,
    subgroups: bool,
}

impl Program {
    fn new(module: &Module) -> Self {
        let source = compose(module).unwrap();
        let (entries, naga) = (reflect(&source).unwrap(), Arc::new(parse(&source).unwrap()));
        Self { entries, naga, subgroups: needs_subgroups(&source).unwrap() }
    }
}

/// All kernels, by title.
pub fn kernels() -> &'static [Kernel] {
    static KERNELS: OnceLock<Vec<Kernel>> = OnceLock::new();
    KERNELS.get_or_init(|| {
        let mut found: BTreeMap<String, Kernel> = BTreeMap::new();
        let mut programs: BTreeMap<String, Program> = BTreeMap::new();
        lower_all(|device, operator, lowered| {
            for Dispatch { module, entry, trips, .. } in &lowered.dispatches {
                let name = title(module);
                let program = programs.entry(name.clone()).or_insert_with(|| Program::new(module));
                let kernel = found.entry(format!("{name}, {entry}")).or_insert_with(|| Kernel {
                    module: module.clone(),
                    entry: program.entries.iter().find(|known| known.name == *entry).unwrap().clone(),
                    naga: program.naga.clone(),
                    subgroups: program.subgroups,
                    operators: BTreeSet::new(),
                    devices: BTreeSet::new(),
                    trips: [0, usize::MAX],
                });
                kernel.operators.insert((operator, lowered.variant));
                kernel.devices.insert(device);
                kernel.trips = [kernel.trips[0].max(*trips), kernel.trips[1].min(*trips)];
            }
        });
        found.into_values().collect()
    })
}

#[test]
fn the_sweep_reaches_every_entry_point_of_every_shader() {
    let mut missing = Vec::new();
    for file in files().filter(|file| !file.starts_with("shared/")) {
        for entry in reflect(&compose(&Module::new(file)).unwrap()).unwrap() {
            if !kernels().iter().any(|kernel| kernel.module.file == file && kernel.entry.name == entry.name) {
                missing.push(format!("{file}, {}", entry.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no case of the sweep uses these entry points, so nothing here looks at them:\n  {}",
        missing.join("\n  ")
    );
}
