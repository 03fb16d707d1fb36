//! Compiles the image messages: Rust types by prost, and a descriptor set for the JSON view.

use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};

/// Strings that come from users or file systems and need not be UTF-8. Their wire format is that of `bytes`,
/// as which the Rust types carry them, so that a file with a Latin-1 name can be dumped.
const NOT_UTF8: &[&str] = &[
    "cg_member_entry.path",
    "cgroup_dir_entry.dir_name",
    "cgroup_prop_entry.value",
    "fanotify_mount_mark_entry.path",
    "fh_entry.path",
    "ghost_file_entry.symlnk_target",
    "irmap_cache_entry.path",
    "memfd_inode_entry.name",
    "mnt_entry.mountpoint",
    "mnt_entry.options",
    "mnt_entry.root",
    "mnt_entry.source",
    "reg_file_entry.name",
    "stasis_mqueue_entry.name",
    "stasis_vma_name.name",
    "task_core_entry.comm",
    "thread_core_entry.comm",
    "unix_sk_entry.name_dir",
    "utsns_entry.domainname",
    "utsns_entry.nodename",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = Path::new("image");
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "proto"));
    files.sort();

    let mut set = protox::compile(&files, [dir])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut bare = set.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.bin"), bare.encode_to_vec())?;
    fs::write(out.join("shapes.rs"), shapes(&set)?)?;

    for name in NOT_UTF8 {
        as_bytes(&mut set, name)?;
    }
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    config.compile_fds(set)?;
    Ok(())
}

/// A table of all messages in ascending order of names: their required fields and the messages inside them, for
/// prost decodes a message without its required fields as if they were 0.
fn shapes(set: &FileDescriptorSet) -> Result<String, String> {
    let mut messages: Vec<&DescriptorProto> = set.file.iter().flat_map(|f| &f.message_type).collect();
    messages.sort_by(|a, b| a.name().cmp(b.name()));
    let mut table = String::from("static SHAPES: &[Shape] = &[\n");
    for message in &messages {
        let (mut mask, mut names, mut nested) = (0u64, String::new(), String::new());
        for field in &message.field {
            let number = field.number();
            if field.label() == Label::Required {
                let bit = u32::try_from(number).ok().and_then(|n| 1u64.checked_shl(n));
                mask |= bit.ok_or_else(|| format!("{}: a required field above 63", message.name()))?;
                names += &format!("({number}, {:?}), ", field.name());
            }
            let inner = field.type_name().rsplit('.').next().unwrap_or_default();
            if field.r#type() == Type::Message {
                let index = messages.binary_search_by(|m| m.name().cmp(inner));
                nested += &format!("({number}, {}), ", index.map_err(|_| format!("no message {inner}"))?);
            }
        }
        let name = message.name();
        table +=
            &format!("    Shape {{ name: {name:?}, required: {mask:#x}, names: &[{names}], nested: &[{nested}] }},\n");
    }
    Ok(table + "];\n")
}

/// Turns the string field `name` (`message.field`) into bytes.
fn as_bytes(set: &mut FileDescriptorSet, name: &str) -> Result<(), String> {
    let missing = || format!("no string field {name} in the image messages");
    let (message, field) = name.split_once('.').ok_or_else(missing)?;
    let mut messages = set.file.iter_mut().flat_map(|f| f.message_type.iter_mut());
    let message: &mut DescriptorProto = messages.find(|m| m.name() == message).ok_or_else(missing)?;
    let field = message.field.iter_mut().find(|f| f.name() == field).ok_or_else(missing)?;
    if field.r#type() != Type::String {
        return Err(missing());
    }
    field.set_type(Type::Bytes);
    Ok(())
}
