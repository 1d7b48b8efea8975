//! What the calls answer that change nothing. No locks of its own.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::convert;
use super::dialect;
use super::handler::Handler;
use super::records::{Info, ListedFault, MethodInfo};
use super::statistics::Statistics;
use super::values::WirePath;
use super::wire::{Value, signed};
use crate::fault::kinds::KINDS;
use crate::fault::words::{OPTIONS, PlainFault};
use crate::fault::{FaultId, Listed, Pattern};
use crate::ops::Method;

impl Handler {
    pub(super) fn get_faults(&self) -> Value {
        let listed = self.table.list();
        let told = listed.iter().filter(|l| PlainFault::tells(&l.fault));
        let (automatic, faults): (Vec<_>, Vec<_>) = told.partition(|l| l.fault.is_automatic());
        let has_device = |methods| automatic.iter().any(|l| l.methods.intersects(methods));
        let plain = faults.into_iter().chain(automatic.iter().copied()).map(|l| {
            let auto_delay = has_device(l.methods);
            (l.methods, PlainFault { auto_delay, ..PlainFault::near(&l.fault) })
        });
        dialect::encode_get_faults(&plain.collect::<Vec<_>>())
    }

    /// The faults in force, with what they cannot do here.
    pub(super) fn faults(&self) -> Vec<ListedFault> {
        self.table.list_hidden().into_iter().map(|fault| self.listed_here(fault)).collect()
    }

    /// One of them, and the one that keeps it from firing.
    pub(super) fn listed_here(&self, (fault, behind): (Listed, Option<FaultId>)) -> ListedFault {
        let bounds = &self.config.bounds;
        ListedFault {
            out_of_reach: self.out_of_reach(&fault),
            warnings: bounds.warnings(&fault, behind),
            ..convert::listed(&fault)
        }
    }

    /// Which files it does not reach, if there are such.
    pub(super) fn out_of_reach(&self, fault: &Listed) -> Option<String> {
        let pattern = fault.fault.pattern();
        let served = self.config.bounds.out_of_reach(fault.methods, pattern);
        let cached = match fault.spares_cached {
            true => self.config.files.cached(&|path| pattern.matches(path)),
            false => 0,
        };
        let files = match cached {
            0 => None,
            1 => Some(
                "1 open file that the kernel reads from its cache until it is opened again".into(),
            ),
            _ => Some(format!(
                "{cached} open files that the kernel reads from its cache until they are opened again"
            )),
        };
        let missed: Vec<String> = served.into_iter().chain(files).collect();
        (!missed.is_empty()).then(|| missed.join(", and "))
    }

    pub(super) fn ended(&self) -> Vec<ListedFault> {
        self.table.list_ended().iter().map(convert::gone).collect()
    }

    pub(super) fn methods(&self) -> Vec<MethodInfo> {
        let bounds = &self.config.bounds;
        let told = |method: Method| MethodInfo {
            name: method.name().to_owned(),
            obstacle: bounds.obstacle(method).map(str::to_owned),
            out_of_reach: bounds.out_of_reach(method.into(), &Pattern::any()),
        };
        Method::all().map(told).collect()
    }

    pub(super) fn statistics(&self) -> Statistics {
        let passthrough = self.config.bounds.passthrough_except.is_some();
        Statistics {
            log_lines_lost: signed(self.config.log_lines_lost.load(Ordering::Relaxed)),
            connections_dropped: signed(self.dropped.total()),
            ..Statistics::of(&self.stats, passthrough)
        }
    }

    pub(super) fn info(&self) -> Info {
        let mount = &self.config.mount;
        let started = mount.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let features = OPTIONS.iter().map(|option| option.param.name).chain(["name"]);
        Info {
            version: mount.version.clone(),
            mountpoint: WirePath(mount.mountpoint.clone()),
            backing: WirePath(mount.backing.clone()),
            pid: i32::try_from(mount.pid).unwrap_or(i32::MAX),
            started_unix_ms: i64::try_from(started.as_millis()).unwrap_or(i64::MAX),
            faults: i32::try_from(self.table.list().len()).unwrap_or(i32::MAX),
            threads: i32::try_from(mount.threads).unwrap_or(i32::MAX),
            direct_io: mount.direct_io,
            read_only: mount.read_only,
            seeded: mount.seeded,
            stats: mount.stats,
            probability_scale: self.config.scale.to_string(),
            fuse_protocol: mount.fuse_protocol.clone(),
            capabilities: mount.capabilities.iter().map(|c| (*c).to_owned()).collect(),
            passthrough_except: self.config.bounds.passthrough_except.clone(),
            kinds: KINDS.iter().map(|kind| kind.name().to_owned()).collect(),
            features: features.map(str::to_owned).collect(),
            listen: mount.listen.map(|address| address.to_string()),
            socket: mount.socket.clone().map(WirePath),
            http: mount.http.map(|address| address.to_string()),
            allow: self.config.allow.networks(),
        }
    }
}
