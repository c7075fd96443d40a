//! JSON objects whose fields are said once, where they are written: `in_json!`.

/// Gives a type its JSON: an object of these fields, in this order.
///
/// `in_json!(|pool: &Pool| { "name": pool.name, "size": pool.size() });` With `..first(it), ` before them, the function
/// `first(&mut map, it)` writes what stands before the fields.
macro_rules! in_json {
    (|$it:ident: &$of:ty| { $(..$first:ident($what:expr),)? $($name:literal: $value:expr),* $(,)? }) => {
        impl serde::Serialize for $of {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let $it = self;
                let mut map = serializer.serialize_map(None)?;
                $($first(&mut map, $what)?;)?
                $(map.serialize_entry($name, &$value)?;)*
                map.end()
            }
        }
    };
}
pub(crate) use in_json;
