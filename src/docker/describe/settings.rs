//! Each setting of a container with its option of `docker run` and, where the
//! form is the same, its key in a compose file.

use serde_json::{Value, json};

use super::quote;
use crate::{
    docker::payload::{is_default, link, network_mode},
    model::manifest::Manifest,
};

/// One setting.
pub(super) struct Setting {
    /// `--option`, or empty: there is none.
    pub(super) flag: &'static str,
    /// Key in a compose file, or empty: it has another form there.
    pub(super) key: &'static str,
    /// A list, true or false, a number or a text.
    pub(super) value: Value,
}

impl Setting {
    pub(super) fn list(flag: &'static str, key: &'static str, values: Vec<String>) -> Self {
        Self { flag, key, value: values.into() }
    }

    /// What follows the option, once for each time it is given.
    pub(super) fn words(&self) -> Vec<String> {
        let word = |value: &Value| match value {
            Value::Bool(true) => String::new(),
            Value::String(text) => format!(" {}", quote(text)),
            // Values that begin with a minus, and false, must not stand alone.
            other => format!("={other}"),
        };
        match &self.value {
            Value::Array(list) => list.iter().map(word).collect(),
            single => vec![word(single)],
        }
    }
}

/// Texts of the host configuration.
const TEXTS: [(&str, &str, &str); 11] = [
    ("--pid", "PidMode", "pid"),
    ("--uts", "UTSMode", "uts"),
    ("--userns", "UsernsMode", "userns_mode"),
    ("--ipc", "IpcMode", "ipc"),
    ("--cgroupns", "CgroupnsMode", "cgroup"),
    ("--cgroup-parent", "CgroupParent", "cgroup_parent"),
    ("--runtime", "Runtime", "runtime"),
    ("--isolation", "Isolation", "isolation"),
    ("--cpuset-cpus", "CpusetCpus", "cpuset"),
    ("--cpuset-mems", "CpusetMems", ""),
    ("--volume-driver", "VolumeDriver", ""),
];

/// Numbers of the host configuration; 0 is none.
const NUMBERS: [(&str, &str, &str); 11] = [
    ("--memory", "Memory", "mem_limit"),
    ("--memory-reservation", "MemoryReservation", "mem_reservation"),
    ("--cpu-shares", "CpuShares", "cpu_shares"),
    ("--cpu-period", "CpuPeriod", "cpu_period"),
    ("--cpu-quota", "CpuQuota", "cpu_quota"),
    ("--cpu-rt-period", "CpuRealtimePeriod", "cpu_rt_period"),
    ("--cpu-rt-runtime", "CpuRealtimeRuntime", "cpu_rt_runtime"),
    ("--blkio-weight", "BlkioWeight", ""),
    ("--oom-score-adj", "OomScoreAdj", "oom_score_adj"),
    ("--pids-limit", "PidsLimit", "pids_limit"),
    ("--shm-size", "ShmSize", "shm_size"),
];

const SWITCHES: [(&str, &str, &str); 6] = [
    ("--privileged", "Privileged", "privileged"),
    ("--read-only", "ReadonlyRootfs", "read_only"),
    ("--init", "Init", "init"),
    ("--rm", "AutoRemove", ""),
    ("--publish-all", "PublishAllPorts", ""),
    ("--oom-kill-disable", "OomKillDisable", "oom_kill_disable"),
];

const LISTS: [(&str, &str, &str); 10] = [
    ("--volume", "Binds", "volumes"),
    ("--cap-add", "CapAdd", "cap_add"),
    ("--cap-drop", "CapDrop", "cap_drop"),
    ("--dns", "Dns", "dns"),
    ("--dns-search", "DnsSearch", "dns_search"),
    ("--dns-option", "DnsOptions", "dns_opt"),
    ("--add-host", "ExtraHosts", "extra_hosts"),
    ("--group-add", "GroupAdd", "group_add"),
    ("--device-cgroup-rule", "DeviceCgroupRules", "device_cgroup_rules"),
    ("--volumes-from", "VolumesFrom", ""),
];

/// Every setting that is not the engine's or the image's default.
pub(super) fn settings(manifest: &Manifest) -> Vec<Setting> {
    let container = &manifest.container;
    let host = &container["HostConfig"];
    let mut all = of_process(manifest);
    let mode = network_mode(manifest);
    if mode != "default" && mode != "bridge" {
        all.push(Setting { flag: "--network", key: "", value: json!(mode) });
    }
    for (flag, field, key) in TEXTS {
        let value = if matches!(field, "PidMode" | "IpcMode") {
            json!(crate::docker::payload::by_name(manifest, host[field].as_str().unwrap_or_default()))
        } else {
            host[field].clone()
        };
        let default = is_default(manifest, field, &value) || (field == "IpcMode" && value == "private");
        if value.as_str().is_some_and(|text| !text.is_empty()) && !default {
            all.push(Setting { flag, key, value });
        }
    }
    for (flag, field, key) in NUMBERS {
        let value = &host[field];
        let default = field == "ShmSize" && *value == 67_108_864;
        if value.as_i64().is_some_and(|number| number != 0) && !default {
            all.push(Setting { flag, key, value: value.clone() });
        }
    }
    for (flag, field, key) in SWITCHES {
        // --init=false overrides the engine's own setting; the others are false anyway.
        if host[field] == true || (field == "Init" && host[field] == false) {
            all.push(Setting { flag, key, value: host[field].clone() });
        }
    }
    for (flag, field, key) in LISTS {
        let mut values = words(&host[field]);
        if field == "VolumesFrom" {
            let from = values.iter().map(|entry| crate::docker::payload::volumes_from(manifest, entry));
            values = from.collect();
        }
        all.push(Setting::list(flag, key, values));
    }
    limits(host, &mut all);
    lists(manifest, &mut all);
    all.retain(|setting| setting.value.as_array().is_none_or(|list| !list.is_empty()));
    all
}

fn of_process(manifest: &Manifest) -> Vec<Setting> {
    let (container, image) = (&manifest.container, &manifest.image["Config"]);
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let mode = network_mode(manifest);
    let shared = mode.starts_with("container:");
    let mut all = Vec::new();
    let mut text = |flag: &'static str, key: &'static str, value: &Value| {
        if value.as_str().is_some_and(|text| !text.is_empty()) {
            all.push(Setting { flag, key, value: value.clone() });
        }
    };
    let hostname = config["Hostname"].as_str().unwrap_or_default();
    let generated = container["Id"].as_str().unwrap_or_default().starts_with(hostname);
    if !generated && !shared && mode != "host" && host["UTSMode"] != "host" {
        text("--hostname", "hostname", &config["Hostname"]);
    }
    if !shared {
        text("--domainname", "domainname", &config["Domainname"]);
    }
    for (flag, field, key) in [
        ("--user", "User", "user"),
        ("--workdir", "WorkingDir", "working_dir"),
        ("--stop-signal", "StopSignal", "stop_signal"),
        ("--mac-address", "MacAddress", "mac_address"),
    ] {
        if config[field] != image[field] {
            text(flag, key, &config[field]);
        }
    }
    let policy = &host["RestartPolicy"];
    let name = policy["Name"].as_str().filter(|name| *name != "no").unwrap_or_default();
    let count = policy["MaximumRetryCount"].as_u64().filter(|count| *count > 0);
    let policy = count.map_or_else(|| name.to_owned(), |count| format!("{name}:{count}"));
    text("--restart", "restart", &json!(policy));
    for (flag, field, key) in [("--tty", "Tty", "tty"), ("--interactive", "OpenStdin", "stdin_open")] {
        if config[field] == true {
            all.push(Setting { flag, key, value: json!(true) });
        }
    }
    if config["StopTimeout"].is_i64() {
        all.push(Setting { flag: "--stop-timeout", key: "", value: config["StopTimeout"].clone() });
    }
    let (entrypoint, of_image) = (words(&config["Entrypoint"]), words(&image["Entrypoint"]));
    if entrypoint != of_image {
        let first = entrypoint.into_iter().next().unwrap_or_default();
        all.push(Setting { flag: "--entrypoint", key: "", value: json!(first) });
    }
    if config["Healthcheck"] != image["Healthcheck"] {
        health(&config["Healthcheck"], &mut all);
    }
    all
}

fn health(check: &Value, all: &mut Vec<Setting>) {
    let test = words(&check["Test"]);
    let rest = test.get(1..).unwrap_or_default();
    match test.first().map(String::as_str) {
        Some("NONE") => {
            all.push(Setting { flag: "--no-healthcheck", key: "", value: json!(true) });
            return;
        }
        Some("CMD-SHELL") => all.push(Setting::list("--health-cmd", "", rest.to_vec())),
        // There is no option for words without a shell.
        Some("CMD") => {
            let line = rest.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            all.push(Setting::list("--health-cmd", "", vec![line]));
        }
        _ => {}
    }
    for (flag, field) in [
        ("--health-interval", "Interval"),
        ("--health-timeout", "Timeout"),
        ("--health-start-period", "StartPeriod"),
    ] {
        if let Some(nanos) = check[field].as_u64().filter(|nanos| *nanos > 0) {
            all.push(Setting { flag, key: "", value: json!(duration(nanos)) });
        }
    }
    if check["Retries"].as_u64().is_some_and(|retries| retries > 0) {
        all.push(Setting { flag: "--health-retries", key: "", value: check["Retries"].clone() });
    }
}

/// Nanoseconds in the largest unit that needs no fraction.
pub(super) fn duration(nanos: u64) -> String {
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let unit = units.into_iter().find(|(_, size)| nanos.is_multiple_of(*size));
    unit.map_or_else(|| format!("{nanos}ns"), |(name, size)| format!("{}{name}", nanos / size))
}

fn limits(host: &Value, all: &mut Vec<Setting>) {
    let memory = host["Memory"].as_i64().unwrap_or(0);
    // Twice the memory is what the engine sets by itself.
    if let Some(swap) = host["MemorySwap"].as_i64().filter(|swap| *swap != 0 && *swap != 2 * memory) {
        all.push(Setting { flag: "--memory-swap", key: "memswap_limit", value: json!(swap) });
    }
    if host["MemorySwappiness"].as_i64().is_some_and(|value| value >= 0) {
        let value = host["MemorySwappiness"].clone();
        all.push(Setting { flag: "--memory-swappiness", key: "mem_swappiness", value });
    }
    if let Some(nano) = host["NanoCpus"].as_f64().filter(|nano| *nano > 0.0) {
        all.push(Setting { flag: "--cpus", key: "cpus", value: json!(nano / 1e9) });
    }
    let ulimits = host["Ulimits"].as_array().into_iter().flatten();
    let ulimits = ulimits.map(|limit| {
        format!("{}={}:{}", limit["Name"].as_str().unwrap_or_default(), limit["Soft"], limit["Hard"])
    });
    all.push(Setting::list("--ulimit", "", ulimits.collect()));
    for (flag, field, value) in [
        ("--blkio-weight-device", "BlkioWeightDevice", "Weight"),
        ("--device-read-bps", "BlkioDeviceReadBps", "Rate"),
        ("--device-write-bps", "BlkioDeviceWriteBps", "Rate"),
        ("--device-read-iops", "BlkioDeviceReadIOps", "Rate"),
        ("--device-write-iops", "BlkioDeviceWriteIOps", "Rate"),
    ] {
        let devices = host[field].as_array().into_iter().flatten();
        let devices = devices
            .map(|device| format!("{}:{}", device["Path"].as_str().unwrap_or_default(), device[value]));
        all.push(Setting::list(flag, "", devices.collect()));
    }
}

fn lists(manifest: &Manifest, all: &mut Vec<Setting>) {
    let (container, image) = (&manifest.container, &manifest.image["Config"]);
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let from_image = words(&image["Env"]);
    let environment = words(&config["Env"]).into_iter().filter(|entry| !from_image.contains(entry));
    all.push(Setting::list("--env", "environment", environment.collect()));
    let labels = pairs(&config["Labels"], |key, value| image["Labels"][key] != *value);
    all.push(Setting::list("--label", "labels", labels));
    let volumes = config["Volumes"].as_object().into_iter().flatten().map(|(path, _)| path.clone());
    let volumes = volumes.filter(|path| image["Volumes"][path].is_null());
    all.push(Setting::list("--volume", "volumes", volumes.collect()));
    let published = &host["PortBindings"];
    if !network_mode(manifest).starts_with("container:") {
        let exposed = config["ExposedPorts"].as_object().into_iter().flatten().map(|(port, _)| port.clone());
        let exposed =
            exposed.filter(|port| published[port].is_null() && image["ExposedPorts"][port].is_null());
        all.push(Setting::list("--expose", "expose", exposed.collect()));
    }
    let ports = published.as_object().into_iter().flatten();
    let ports = ports.flat_map(|(port, bindings)| publish(port, bindings));
    all.push(Setting::list("--publish", "ports", ports.collect()));
    let tmpfs = host["Tmpfs"].as_object().into_iter().flatten();
    let tmpfs = tmpfs.map(|(path, options)| match options.as_str() {
        Some(options) if !options.is_empty() => format!("{path}:{options}"),
        _ => path.clone(),
    });
    all.push(Setting::list("--tmpfs", "tmpfs", tmpfs.collect()));
    let mounts = host["Mounts"].as_array().into_iter().flatten().map(mount);
    all.push(Setting::list("--mount", "", mounts.collect()));
    let devices = host["Devices"].as_array().into_iter().flatten().map(|device| {
        let part = |name: &str| device[name].as_str().unwrap_or_default();
        [part("PathOnHost"), part("PathInContainer"), part("CgroupPermissions")].join(":")
    });
    all.push(Setting::list("--device", "devices", devices.collect()));
    let any = |_: &str, _: &Value| true;
    all.push(Setting::list("--sysctl", "sysctls", pairs(&host["Sysctls"], any)));
    all.push(Setting::list("--storage-opt", "", pairs(&host["StorageOpt"], any)));
    all.push(Setting::list("--annotation", "", pairs(&host["Annotations"], any)));
    let links = words(&host["Links"]).iter().map(|entry| link(entry)).collect();
    all.push(Setting::list("--link", "external_links", links));
    all.push(Setting::list("--security-opt", "security_opt", security(container)));
    let log = &host["LogConfig"];
    let options = pairs(&log["Config"], any);
    if log["Type"] != "json-file" || !options.is_empty() {
        all.push(Setting::list("--log-driver", "", words(&json!([log["Type"]]))));
        all.push(Setting::list("--log-opt", "", options));
    }
    let gpus = host["DeviceRequests"].as_array().into_iter().flatten();
    let gpus = gpus.filter(|request| request["Capabilities"].to_string().contains("gpu")).map(|request| {
        let ids = words(&request["DeviceIDs"]);
        match request["Count"].as_i64() {
            Some(count) if count > 0 => count.to_string(),
            _ if !ids.is_empty() => format!("\"device={}\"", ids.join(",")),
            _ => "all".to_owned(),
        }
    });
    all.push(Setting::list("--gpus", "", gpus.collect()));
}

fn pairs(map: &Value, wanted: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let entries = map.as_object().into_iter().flatten().filter(|(key, value)| wanted(key, value));
    entries.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect()
}

fn publish(port: &str, bindings: &Value) -> Vec<String> {
    let port = port.strip_suffix("/tcp").unwrap_or(port);
    let of = |binding: &Value| {
        let number = binding["HostPort"].as_str().unwrap_or_default();
        match binding["HostIp"].as_str().unwrap_or_default() {
            "" if number.is_empty() => port.to_owned(),
            "" => format!("{number}:{port}"),
            address if address.contains(':') => format!("[{address}]:{number}:{port}"),
            address => format!("{address}:{number}:{port}"),
        }
    };
    let bindings = bindings.as_array().map(Vec::as_slice).unwrap_or_default();
    if bindings.is_empty() { vec![port.to_owned()] } else { bindings.iter().map(of).collect() }
}

/// One `--mount`: fields of CSV.
fn mount(mount: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut fields = vec![format!("type={}", text(&mount["Type"]))];
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            fields.push(format!("{name}={value}"));
        }
    };
    add("source", text(&mount["Source"]));
    add("target", text(&mount["Target"]));
    add("bind-propagation", text(&mount["BindOptions"]["Propagation"]));
    let (volume, tmpfs) = (&mount["VolumeOptions"], &mount["TmpfsOptions"]);
    add("volume-driver", text(&volume["DriverConfig"]["Name"]));
    for option in pairs(&volume["DriverConfig"]["Options"], |_, _| true) {
        add("volume-opt", option);
    }
    for label in pairs(&volume["Labels"], |_, _| true) {
        add("volume-label", label);
    }
    add("volume-subpath", text(&volume["Subpath"]));
    add("tmpfs-size", tmpfs["SizeBytes"].as_u64().map(|size| size.to_string()).unwrap_or_default());
    add("tmpfs-mode", tmpfs["Mode"].as_u64().map(|mode| format!("{mode:o}")).unwrap_or_default());
    let switches = [
        (&mount["ReadOnly"], "readonly"),
        (&volume["NoCopy"], "volume-nocopy"),
        (&mount["BindOptions"]["NonRecursive"], "bind-nonrecursive"),
    ];
    let switches = switches.into_iter().filter(|(value, _)| **value == true);
    fields.extend(switches.map(|(_, name)| name.to_owned()));
    let field = |field: String| {
        if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    fields.into_iter().map(field).collect::<Vec<_>>().join(",")
}

fn security(container: &Value) -> Vec<String> {
    let host = &container["HostConfig"];
    let mut options = words(&host["SecurityOpt"]);
    for option in &mut options {
        if option.starts_with("seccomp={") {
            "seccomp=seccomp.json".clone_into(option);
        }
    }
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    if empty(&host["MaskedPaths"]) && empty(&host["ReadonlyPaths"]) && host["Privileged"] != true {
        options.push("systempaths=unconfined".to_owned());
    }
    options
}

/// A profile that the engine keeps as text.
pub(super) fn seccomp_profile(container: &Value) -> Option<&str> {
    let options = container["HostConfig"]["SecurityOpt"].as_array().into_iter().flatten();
    options.filter_map(|option| option.as_str()?.strip_prefix("seccomp=")).find(|text| text.starts_with('{'))
}

pub(super) fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
