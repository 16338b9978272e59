//! Which cases of `wgrad verify` run a shader, and which programs contain it.

use wgrad::gpu::compose::{Module, files};

use crate::runner::text;

/// The rooms of operators, as arguments of `verify`, that run a file: the quickest first.
pub fn stages(file: &str) -> Vec<Vec<&'static str>> {
    let rooms: &[&str] = match file {
        "conv2d.wgsl" => &["conv2d baseline"],
        "linear.wgsl" => &["linear baseline"],
        "pool2d_windows.wgsl" => &["pool2d windows"],
        // What only long sums show is asked last: a tile of 64 by 64 takes its time over a million pixels.
        "conv2d_tiled.wgsl" | "shared/arriving_pixels.wgsl" => {
            &[
                "conv2d tiled",
                "conv2d tiled_small",
                "conv2d tiled_large",
                "linear tiled",
                "conv2d_max_pool2d tiled",
                "conv2d tiled_large --full --case drifting",
            ]
        }
        "shared/tile_sums.wgsl" => &["conv2d tiled", "conv2d tiled_small", "conv2d tiled_large", "linear tiled"],
        "shared/bias.wgsl" => &["conv2d tiled"],
        // What is read of a table is for images that are read normalised.
        "shared/source_image.wgsl" => &["conv2d tiled", "conv2d_statistics tiled"],
        "shared/source_arriving.wgsl" | "shared/no_bias.wgsl" | "shared/pooled_alone.wgsl" => &["conv2d_grad tiled"],
        "shared/arriving_maxima.wgsl" => &["conv2d_max_pool2d_grad_weight tiled", "conv2d_grad tiled"],
        "shared/pooled_derivative.wgsl" => &["conv2d_max_pool2d_grad_weight tiled"],
        "batch_norm2d_apply.wgsl" | "shared/normal.wgsl" | "shared/residual.wgsl" | "shared/no_residual.wgsl" => {
            &[
                "batch_norm2d_apply",
                "conv2d_statistics baseline",
                "conv2d_statistics tiled",
                "batch_norm2d_apply baseline --full --case leaky",
                "conv2d_statistics tiled --full --case several_blocks",
            ]
        }
        "shared/moments.wgsl" | "shared/no_moments.wgsl" => {
            &["conv2d_statistics tiled"]
        }
        "shared/image_normalised.wgsl" | "shared/image_plain.wgsl" | "shared/finish_plain.wgsl" => {
            &["conv2d_statistics tiled", "conv2d_statistics tiled --full --case leaky"]
        }
        "shared/source_fours.wgsl" => &["conv2d tiled_fours", "conv2d_statistics tiled_fours"],
        "conv2d_tiled_fours.wgsl" | "shared/fours_plain.wgsl" => {
            &["conv2d tiled_fours", "linear tiled_fours", "conv2d tiled_fours --full --case drifting"]
        }
        "conv2d_winograd.wgsl" => &["conv2d winograd"],
        "shared/tile_problem.wgsl" | "shared/tile_walk.wgsl" => &["conv2d tiled_fours", "conv2d tiled", "linear tiled"],
        "shared/fours_normalised.wgsl" => {
            &["conv2d_statistics tiled_fours", "conv2d_statistics tiled_fours --full --case leaky"]
        }
        "shared/finish_saved.wgsl" => &["conv2d_grad tiled_fours", "conv2d_grad tiled_fours --full --case leaky"],
        "shared/source_fours_arriving.wgsl" => &["conv2d_grad tiled_fours"],
        "shared/finish_gradient_plus.wgsl" => &["conv2d_grad tiled --full --case a_shortcut"],
        "shared/finish_normalised.wgsl" => &["conv2d_grad tiled", "conv2d_grad tiled --full --case leaky"],
        "control_settle.wgsl" => &["settle"],
        "shared/fold.wgsl" => &["settle baseline --no-subgroups"],
        "shared/fold_subgroups.wgsl" => &["settle", "conv2d_statistics tiled"],
        "shared/gradient_parts.wgsl" => &["settle"],
        "shared/gradient_whole.wgsl" => &["settle", "grad_norm"],
        "shared/largest.wgsl" => &["control", "settle"],
        "shared/squares.wgsl" => &["grad_norm", "settle", "settle baseline --full --case more_than_16777216"],
        "conv2d_broadcast.wgsl"
        | "shared/chunk1.wgsl"
        | "shared/chunk4.wgsl"
        | "shared/operands_buffers.wgsl"
        | "shared/pixel.wgsl"
        | "shared/window_maximum.wgsl"
        | "shared/weights_inputs.wgsl"
        | "shared/weights_outputs.wgsl"
        | "shared/store1.wgsl"
        // A few cases find most, and those that never end soon: how long a stage may take depends on how long it takes.
        | "shared/store4.wgsl" => &[
            "conv2d broadcast --case plain_3x3",
            "conv2d broadcast --case fours_rows_of_6",
            "conv2d_max_pool2d broadcast",
            "conv2d broadcast",
            "linear broadcast",
        ],
        "shared/operands_apart.wgsl" => &["linear broadcast", "linear_grad_input_activation_grad broadcast"],
        "shared/partials_inputs.wgsl" => &["linear_grad_weight broadcast", "conv2d_grad_weight broadcast"],
        "shared/partials_outputs.wgsl" => &["conv2d_grad_weight broadcast", "conv2d_grad_weight broadcast_textures"],
        "shared/partials_apart.wgsl" => &["linear_grad_weight broadcast", "linear_grad_weight broadcast_textures"],
        "shared/finish.wgsl" => &["conv2d baseline", "linear baseline", "conv2d_activation baseline"],
        "shared/finish_gradient.wgsl" => {
            &["conv2d_grad_input_activation_grad baseline", "linear_grad_input_activation_grad baseline"]
        }
        "conv2d_rows.wgsl" => &[
            "conv2d_grad_weight broadcast_textures --case fours_rows_of",
            "conv2d_grad_weight broadcast_textures",
            "linear_grad_weight broadcast_textures",
        ],
        "conv2d_few_channels.wgsl" | "shared/cell_pixels.wgsl" => &[
            "conv2d few_channels --case few_channels_image_of_28",
            "conv2d_max_pool2d few_channels --case first_layer",
            "conv2d few_channels",
        ],
        "shared/cell_maximum.wgsl" => &["conv2d_max_pool2d few_channels"],
        "shared/maximum.wgsl" => &["conv2d_max_pool2d few_channels", "conv2d_max_pool2d broadcast"],
        "shared/derivative.wgsl" => &["activation", "conv2d_max_pool2d few_channels"],
        "conv2d_depthwise.wgsl" | "shared/fours_buffers.wgsl" => &[
            "conv2d depthwise --case depthwise_of_3x3",
            "conv2d depthwise",
            "conv2d_activation depthwise",
            "conv2d_grad_input_activation_grad depthwise",
        ],
        "shared/fours_textures.wgsl" => &["conv2d depthwise_textures"],
        "shared/operands_textures.wgsl" | "shared/texel.wgsl" => &[
            "conv2d broadcast_textures --case fours_rows_of_6",
            "conv2d broadcast_textures",
            "linear broadcast_textures",
        ],
        "shared/grid.wgsl" => &["reduce", "dropout", "control", "batch", "elementwise", "conv2d baseline"],
        "shared/random.wgsl" => &["dropout", "batch"],
        "statistics.wgsl" => &["statistics", "merge_statistics"],
        "shared/quads_apart.wgsl" | "shared/quads_whole.wgsl" => &["statistics"],
        "shared/exponential.wgsl" => &["softmax", "loss", "activation"],
        "shared/erf.wgsl" => &["activation"],
        // Kernels that activate nothing are asked too.
        "shared/activate.wgsl" => &["activation", "conv2d baseline"],
        "shared/finite.wgsl" => &["control", "optimizer", "softmax", "loss", "pool2d", "activation"],
        "shared/split_sum.wgsl" | "reduce.wgsl" => &[
            "reduce",
            "loss",
            "optimizer",
            "batch_norm2d",
            "group_norm",
            "pool2d",
            "linear baseline",
            "conv2d baseline",
        ],
        // Several blocks a split, which takes so many elements that the standard sweep has none.
        "loss.wgsl" => &["loss", "mse_loss baseline --full --case 4200x4001"],
        "shared/cross_entropy.wgsl" => &["loss", "linear_cross_entropy_and_grad joined"],
        "linear_cross_entropy.wgsl" | "shared/head_input.wgsl" => {
            &["linear_cross_entropy_and_grad joined", "linear_cross_entropy joined", "mlp_cross_entropy joined"]
        }
        "shared/head_hidden.wgsl" => &["mlp_cross_entropy joined"],
        // With RELU no slope is one.
        "shared/finish_hidden.wgsl" => &["mlp_cross_entropy joined", "mlp_cross_entropy joined --full --case a_slope"],
        "shared/norm_scale.wgsl" => &["optimizer"],
        "optimizer_clip.wgsl" => &["optimizer", "grad_norm baseline --full --case more_than_16777216"],
        "shared/elements1.wgsl" | "shared/elements4.wgsl" => &["optimizer"],
        _ => return vec![vec!["--op", stem(file)]],
    };
    let arguments = |room: &&'static str| match room.split_once(' ') {
        Some((op, variant)) => ["--op", op, "--variant"].into_iter().chain(variant.split(' ')).collect(),
        None => vec!["--op", *room],
    };
    rooms.iter().map(arguments).collect()
}

fn stem(file: &str) -> &'static str {
    let found = files().find(|known| *known == file).unwrap_or_default();
    found.strip_suffix(".wgsl").unwrap_or(found)
}

/// The programs that contain a file.
pub fn modules(file: &str) -> Vec<Module> {
    let import = format!("#import {}", file.trim_start_matches("shared/").trim_end_matches(".wgsl"));
    let contains = |program: &&str| *program == file || text(program).lines().any(|line| line == import);
    let programs = files().filter(|program| !program.starts_with("shared/")).filter(contains);
    let mut found: Vec<Module> = programs.map(Module::new).collect();
    if ["conv2d_broadcast.wgsl", "shared/chunk4.wgsl"].contains(&file) {
        let links = vec![("chunk1", "shared/chunk4.wgsl")];
        found.push(Module { links, ..Module::new("conv2d_broadcast.wgsl") });
    }
    // What stands in for what a kernel imports by itself.
    for (linked, name, program) in [
        ("shared/weights_outputs.wgsl", "weights_inputs", "conv2d_broadcast.wgsl"),
        ("shared/operands_apart.wgsl", "operands_buffers", "conv2d_broadcast.wgsl"),
        ("shared/partials_outputs.wgsl", "partials_inputs", "conv2d_rows.wgsl"),
        ("shared/partials_apart.wgsl", "partials_inputs", "conv2d_rows.wgsl"),
        ("shared/finish_gradient.wgsl", "finish", "conv2d.wgsl"),
        ("shared/fours_textures.wgsl", "fours_buffers", "conv2d_depthwise.wgsl"),
        ("shared/arriving_maxima.wgsl", "arriving_pixels", "conv2d_tiled.wgsl"),
        ("shared/source_arriving.wgsl", "source_image", "conv2d_tiled.wgsl"),
        ("shared/no_bias.wgsl", "bias", "conv2d_tiled.wgsl"),
        ("shared/moments.wgsl", "no_moments", "conv2d_tiled.wgsl"),
        ("shared/image_normalised.wgsl", "image_plain", "conv2d_tiled.wgsl"),
        ("shared/finish_normalised.wgsl", "finish", "conv2d_tiled.wgsl"),
        ("shared/finish_plain.wgsl", "finish", "conv2d_tiled.wgsl"),
        ("shared/finish_gradient_plus.wgsl", "finish", "conv2d_tiled.wgsl"),
        ("shared/fours_normalised.wgsl", "fours_plain", "conv2d_tiled_fours.wgsl"),
        ("shared/finish_saved.wgsl", "finish", "conv2d_tiled_fours.wgsl"),
        ("shared/source_fours_arriving.wgsl", "source_fours", "conv2d_tiled_fours.wgsl"),
        ("shared/no_residual.wgsl", "residual", "batch_norm2d_apply.wgsl"),
        ("shared/gradient_parts.wgsl", "gradient_whole", "control_settle.wgsl"),
        ("shared/quads_whole.wgsl", "quads_apart", "statistics.wgsl"),
    ] {
        if file == linked || (file == program && program != "conv2d.wgsl") {
            let links = vec![("chunk1", "shared/chunk4.wgsl"), (name, linked)];
            found.push(Module { links, ..Module::new(program) });
        }
    }
    if ["conv2d_few_channels.wgsl", "shared/cell_maximum.wgsl", "shared/derivative.wgsl"].contains(&file) {
        let links = vec![("cell_pixels", "shared/cell_maximum.wgsl")];
        found.push(Module { links, ..Module::new("conv2d_few_channels.wgsl") });
    }
    if ["conv2d_broadcast.wgsl", "shared/window_maximum.wgsl", "shared/maximum.wgsl"].contains(&file) {
        let windows = [("pixel", "shared/window_maximum.wgsl"), ("store1", "shared/store4.wgsl")];
        found.push(Module { links: windows.to_vec(), ..Module::new("conv2d_broadcast.wgsl") });
    }
    if ["shared/head_hidden.wgsl", "shared/finish_hidden.wgsl"].contains(&file) {
        let links = vec![("head_input", "shared/head_hidden.wgsl"), ("finish", "shared/finish_hidden.wgsl")];
        found.push(Module { links, ..Module::new("linear_cross_entropy.wgsl") });
    }
    let pooled = ["shared/pooled_derivative.wgsl", "shared/pooled_alone.wgsl"];
    for linked in pooled.into_iter().filter(|linked| *linked == file) {
        let links = vec![("arriving_pixels", "shared/arriving_maxima.wgsl"), ("pooled_derivative", linked)];
        found.push(Module { links, ..Module::new("conv2d_tiled.wgsl") });
    }
    for program in ["optimizer.wgsl", "optimizer_clip.wgsl"] {
        if [program, "shared/elements4.wgsl"].contains(&file) {
            let links = vec![("elements1", "shared/elements4.wgsl")];
            found.push(Module { links, ..Module::new(program) });
        }
    }
    if ["shared/operands_textures.wgsl", "shared/texel.wgsl", "shared/store4.wgsl"].contains(&file) {
        let four = [("chunk1", "shared/chunk4.wgsl"), ("store1", "shared/store4.wgsl")];
        let links = four.into_iter().chain([("operands_buffers", "shared/operands_textures.wgsl")]).collect();
        found.push(Module { links, ..Module::new("conv2d_broadcast.wgsl") });
    }
    found
}
