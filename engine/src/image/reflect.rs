//! Messages as JSON and back, by their descriptors: the names are those of the `.proto` files.
//!
//! Strings need not be UTF-8 (file names): one that is not becomes `{"base64": …}`. Fields that no descriptor knows
//! are kept under `unknown_fields`, in base64.

use std::collections::HashSet;
use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::Type;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};
use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::{Map, Value as Json, json};

use super::base64;
use super::error::{ImageError, Result};

const PACKAGE: &str = "stasis.image";
const UNKNOWN: &str = "unknown_fields";

/// The descriptors with strings turned into bytes, and the full names of those fields.
struct Descriptors {
    pool: DescriptorPool,
    text: HashSet<String>,
}

static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let mut set = FileDescriptorSet::decode(bytes).expect("the build wrote these descriptors");
    let mut text = HashSet::new();
    for message in set.file.iter_mut().flat_map(|f| f.message_type.iter_mut()) {
        strings_as_bytes(message, &mut text);
    }
    let pool = DescriptorPool::from_file_descriptor_set(set).expect("the build checked these descriptors");
    Descriptors { pool, text }
});

fn strings_as_bytes(message: &mut DescriptorProto, text: &mut HashSet<String>) {
    let name = message.name().to_owned();
    for field in message.field.iter_mut().filter(|f| f.r#type() == Type::String) {
        field.set_type(Type::Bytes);
        text.insert(format!("{PACKAGE}.{name}.{}", field.name()));
    }
}

/// The descriptor of a message of the table of kinds.
pub(super) fn message(name: &str) -> Option<MessageDescriptor> {
    DESCRIPTORS.pool.get_message_by_name(&format!("{PACKAGE}.{name}"))
}

/// A number field of an entry; 0 if it is absent.
pub(super) fn number(message: &DynamicMessage, field: &str) -> u64 {
    let value = message.get_field_by_name(field);
    value.and_then(|v| v.as_u64().or(v.as_u32().map(u64::from))).unwrap_or_default()
}

/// Whether a bool field of an entry is set to true.
pub(super) fn flag(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).and_then(|v| v.as_bool()).unwrap_or_default()
}

/// All fields that are present, in the order of their numbers.
pub(super) fn to_json(message: &DynamicMessage) -> Map<String, Json> {
    let mut object = Map::new();
    for (field, value) in message.fields() {
        object.insert(field.name().to_owned(), value_to_json(&field, value));
    }
    let mut unknown = Vec::new();
    message.unknown_fields().for_each(|field| field.encode(&mut unknown));
    if !unknown.is_empty() {
        object.insert(UNKNOWN.to_owned(), base64::encode(&unknown).into());
    }
    object
}

fn value_to_json(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::Bool(v) => json!(v),
        Value::I32(v) => json!(v),
        Value::I64(v) => json!(v),
        Value::U32(v) => json!(v),
        Value::U64(v) => json!(v),
        Value::F32(v) => json!(v),
        Value::F64(v) => json!(v),
        Value::String(v) => json!(v),
        Value::Bytes(v) if !DESCRIPTORS.text.contains(field.full_name()) => json!(base64::encode(v)),
        Value::Bytes(v) => match std::str::from_utf8(v) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": base64::encode(v) }),
        },
        Value::EnumNumber(v) => match field.kind() {
            Kind::Enum(values) => values.get_value(*v).map_or(json!(v), |value| json!(value.name())),
            _ => json!(v),
        },
        Value::Message(v) => Json::Object(to_json(v)),
        Value::List(v) => v.iter().map(|v| value_to_json(field, v)).collect(),
        Value::Map(_) => Json::Null, // no image message has a map
    }
}

/// The message that an object stands for. `at` is where it stands, for errors.
pub(super) fn from_json(descriptor: MessageDescriptor, object: &Map<String, Json>, at: &str) -> Result<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (key, json) in object {
        let at = format!("{at}.{key}");
        if key == UNKNOWN {
            let bytes = json.as_str().and_then(base64::decode).ok_or_else(|| wrong(&at, "base64 text"))?;
            message.merge(bytes.as_slice()).map_err(|e| ImageError::Json { at, what: e.to_string() })?;
            continue;
        }
        let Some(field) = descriptor.get_field_by_name(key) else {
            let what = format!("{} has no such field", descriptor.name());
            return Err(ImageError::Json { at, what });
        };
        let value = if field.is_list() {
            let items = json.as_array().ok_or_else(|| wrong(&at, "a list"))?.iter().enumerate();
            Value::List(items.map(|(i, v)| value_from_json(&field, v, &format!("{at}[{i}]"))).collect::<Result<_>>()?)
        } else {
            value_from_json(&field, json, &at)?
        };
        message.set_field(&field, value);
    }
    for field in descriptor.fields() {
        if field.cardinality() == Cardinality::Required && !message.has_field(&field) {
            let what = format!("the field {} is missing", field.name());
            return Err(ImageError::Json { at: at.to_owned(), what });
        }
    }
    Ok(message)
}

fn value_from_json(field: &FieldDescriptor, json: &Json, at: &str) -> Result<Value> {
    let number = || wrong(at, "a whole number in the range of its type");
    Ok(match field.kind() {
        Kind::Bool => Value::Bool(json.as_bool().ok_or_else(|| wrong(at, "true or false"))?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(json.as_u64().and_then(|v| v.try_into().ok()).ok_or_else(number)?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(json.as_i64().and_then(|v| v.try_into().ok()).ok_or_else(number)?)
        }
        Kind::Uint64 | Kind::Fixed64 => Value::U64(json.as_u64().ok_or_else(number)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(json.as_i64().ok_or_else(number)?),
        Kind::Float => Value::F32(json.as_f64().ok_or_else(|| wrong(at, "a number"))? as f32),
        Kind::Double => Value::F64(json.as_f64().ok_or_else(|| wrong(at, "a number"))?),
        Kind::Enum(values) => {
            let named = json.as_str().and_then(|name| values.get_value_by_name(name)).map(|v| v.number());
            let value = named.or_else(|| json.as_i64().and_then(|v| v.try_into().ok()));
            Value::EnumNumber(value.ok_or_else(|| wrong(at, &format!("a name or number of {}", values.name())))?)
        }
        Kind::String => Value::String(json.as_str().ok_or_else(|| wrong(at, "text"))?.to_owned()),
        Kind::Bytes => Value::Bytes(bytes_from_json(field, json, at)?.into()),
        Kind::Message(inner) => {
            let object = json.as_object().ok_or_else(|| wrong(at, "an object"))?;
            Value::Message(from_json(inner, object, at)?)
        }
    })
}

fn bytes_from_json(field: &FieldDescriptor, json: &Json, at: &str) -> Result<Vec<u8>> {
    let (text, encoded) = match json {
        Json::String(text) => (text.as_str(), !DESCRIPTORS.text.contains(field.full_name())),
        _ => (json.get("base64").and_then(Json::as_str).ok_or_else(|| wrong(at, "text"))?, true),
    };
    if !encoded {
        return Ok(text.as_bytes().to_vec());
    }
    base64::decode(text).ok_or_else(|| wrong(at, "base64 text"))
}

/// An error: at this place something else must stand.
pub(super) fn wrong(at: &str, expected: &str) -> ImageError {
    ImageError::Json { at: at.to_owned(), what: format!("this must be {expected}") }
}
