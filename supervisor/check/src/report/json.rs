//! The report as one JSON object.

use super::{PAGE, Report};
use crate::verdicts::Verdict;
use serde_json::{Value, json};

impl Report {
    /// One object, in one line.
    pub(crate) fn json(&self) -> String {
        let rules = self.verdicts.all().map(|(rule, verdict)| {
            let (verdict, reason, faults) = match verdict {
                Verdict::Kept => ("ok", None, Vec::new()),
                Verdict::NotApplicable(reason) => ("not_applicable", Some(reason), Vec::new()),
                Verdict::Failed(faults) => ("failed", None, faults),
            };
            let faults = faults
                .into_iter()
                .map(|fault| json!({ "sent": fault.sent, "expected": fault.expected, "found": fault.found }));
            json!({
                "rule": rule.name(), "says": rule.says(), "place": format!("{PAGE}#{}", rule.place()),
                "verdict": verdict, "reason": reason, "faults": faults.collect::<Value>(),
            })
        });
        let report = json!({
            "module": self.module, "type": self.kind, "folder": self.folder, "seed": self.seed,
            "seconds": self.took.as_secs_f64(), "failed": self.verdicts.failures(),
            "rules": rules.collect::<Value>(), "remarks": self.verdicts.remarks,
        });
        format!("{report}\n")
    }
}
