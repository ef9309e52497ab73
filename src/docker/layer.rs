//! What a container changed in its own file system, outside of its mounts. Drivers of the overlay kind keep it as a
//! directory: what is new or changed as it is, what is deleted as a mark. Copied as files it is exact, marks included,
//! for a container that was made from the same image and has not run yet.

use std::path::PathBuf;

use serde_json::Value;

/// Where the engine keeps the changes of an inspected container on its host, or why that can't be told.
pub fn layer_path(container: &Value) -> Result<PathBuf, String> {
    let driver = &container["GraphDriver"];
    let path = driver["Data"]["UpperDir"].as_str().filter(|_| form(container).is_some());
    path.map(PathBuf::from).ok_or_else(|| {
        let name = driver["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("unknown");
        format!("the engine does not keep it as files of their own (storage driver {name})")
    })
}

/// Whether the changes of one inspected container, as files, mean the same in the other: what marks a deletion is
/// the driver's own business.
pub fn same_layer_form(one: &Value, other: &Value) -> bool {
    form(one).is_some() && form(one) == form(other)
}

/// How the marks look.
fn form(container: &Value) -> Option<&'static str> {
    match container["GraphDriver"]["Name"].as_str()? {
        "overlay" | "overlay2" => Some("overlay"),
        "fuse-overlayfs" => Some("fuse-overlayfs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_drivers_that_keep_changes_as_files_tell_where() {
        let of = |name: &str, data: Value| json!({ "GraphDriver": { "Name": name, "Data": data } });
        let (docker, podman) =
            (of("overlay2", json!({ "UpperDir": "/d/1" })), of("overlay", json!({ "UpperDir": "/p/1" })));
        assert_eq!(layer_path(&docker), Ok(PathBuf::from("/d/1")));
        assert!(same_layer_form(&docker, &podman));
        assert!(!same_layer_form(&docker, &of("fuse-overlayfs", json!({ "UpperDir": "/f/1" }))));
        for other in [
            of("vfs", Value::Null),
            of("overlayfs", Value::Null),
            of("zfs", json!({ "Dataset": "x" })),
            json!({}),
        ] {
            assert!(layer_path(&other).unwrap_err().contains("storage driver"), "{other}");
            assert!(!same_layer_form(&other, &other));
        }
    }
}
