//! Runs the check of a stretch with the vector instructions of this processor. What it computes is in
//! [`crate::validator`]: the loops are the same, and the compiler makes wider vectors of them.

use crate::{classify::STRETCH_BYTES, validator::Validator};

/// The vector instructions that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vectors {
    /// Only [`Vectors::of_this_processor`] sets it.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no other processor has it"))]
    has_avx2: bool,
}

impl Vectors {
    /// What every machine can do.
    pub(crate) const ANYWHERE: Vectors = Vectors { has_avx2: false };

    #[inline]
    pub(crate) fn of_this_processor() -> Vectors {
        #[cfg(target_arch = "x86_64")]
        return Vectors {
            has_avx2: is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        Vectors::ANYWHERE
    }

    /// As [`Validator::stretch`].
    #[inline]
    pub(crate) fn check_stretch(self, check: &mut Validator, stretch: &[u8; STRETCH_BYTES]) -> Option<bool> {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            // SAFETY: a function with target features only requires a processor that has them, and a value
            // whose `has_avx2` is set is only made after the processor was asked for these three.
            #[allow(unsafe_code, reason = "the compiler cannot know what the processor said")]
            return unsafe { with_avx2(check, stretch) };
        }
        anywhere(check, stretch)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn with_avx2(check: &mut Validator, stretch: &[u8; STRETCH_BYTES]) -> Option<bool> {
    check.stretch(stretch)
}

#[inline(never)]
fn anywhere(check: &mut Validator, stretch: &[u8; STRETCH_BYTES]) -> Option<bool> {
    check.stretch(stretch)
}
