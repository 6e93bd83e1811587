//! Which parts are taken out of a message so that the rest fits.

use std::ops::Range;

use super::{Disposition, Leaf, Structure};

/// What is taken out, and what stands in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Where it lies in the message.
    pub span: Range<u64>,
    /// What stands there instead.
    pub instead: Vec<u8>,
}

/// How a message is taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What is cut out, in the order of the message.
    pub cuts: Vec<Cut>,
    /// The parts that travel apart, by their number among the leaves, in the order of the message.
    pub apart: Vec<usize>,
    /// The message is one file: the MIME fields of its header describe that file and must go as well.
    pub whole: bool,
}

/// Why a message cannot be taken apart.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSplit {
    /// It would not be valid afterwards.
    #[error("it is signed or encrypted (`{0}`) and must stay in one piece")]
    Sealed(String),
    /// What cannot travel apart is too large by itself.
    #[error("its text and header alone have {0} octets")]
    Rest(u64),
    /// Nobody makes such mail in earnest.
    #[error("it has too many parts")]
    Excessive,
}

impl Structure {
    /// Takes out as few parts as make the message of `size` octets have at most `limit`, the largest first.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn plan(&self, size: u64, limit: u64) -> Result<Plan, NotSplit> {
        if let Some(sealed) = &self.sealed {
            return Err(NotSplit::Sealed(sealed.clone()));
        }
        if self.excessive {
            return Err(NotSplit::Excessive);
        }
        let mut able: Vec<usize> =
            (0..self.leaves.len()).filter(|&number| self.is_file(&self.leaves[number])).collect();
        able.sort_by_key(|&number| std::cmp::Reverse(octets(&self.leaves[number].span)));
        let (mut rest, mut apart) = (size, Vec::new());
        for number in able {
            if rest <= limit {
                break;
            }
            rest = rest.saturating_sub(octets(&self.leaves[number].span));
            apart.push(number);
        }
        apart.sort_unstable();
        let plan = self.cut(apart);
        let added: u64 = plan.cuts.iter().map(|cut| cut.instead.len() as u64).sum();
        if rest + added > limit { Err(NotSplit::Rest(rest + added)) } else { Ok(plan) }
    }

    /// Whether it is a file beside the text, and not the text or another form of it.
    fn is_file(&self, leaf: &Leaf) -> bool {
        let text = leaf.media_type.starts_with("text/") && leaf.disposition != Disposition::Attachment;
        let Some(parent) = leaf.parent else { return !text };
        match self.multiparts[parent].subtype.as_str() {
            // The forms of one thing belong together.
            "alternative" => false,
            // The first is what the others are shown in.
            "related" => leaf.position > 0,
            _ => leaf.position > 0 || !text,
        }
    }

    fn cut(&self, apart: Vec<usize>) -> Plan {
        if let [number] = apart[..]
            && self.leaves[number].parent.is_none()
        {
            let span = self.leaves[number].body.clone();
            return Plan { cuts: vec![Cut { span, instead: Vec::new() }], apart, whole: true };
        }
        let cuts = apart.iter().map(|&number| {
            let leaf = &self.leaves[number];
            Cut { span: leaf.span.clone(), instead: self.instead(&apart, leaf) }
        });
        Plan { cuts: cuts.collect(), whole: false, apart: apart.clone() }
    }

    /// A multipart must have a part: where all go, an empty text stands in for the first.
    fn instead(&self, apart: &[usize], leaf: &Leaf) -> Vec<u8> {
        let Some(parent) = leaf.parent else { return Vec::new() };
        let gone = apart.iter().filter(|&&number| self.leaves[number].parent == leaf.parent).count();
        let multipart = &self.multiparts[parent];
        if gone < multipart.children || leaf.position > 0 {
            return Vec::new();
        }
        format!("--{}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\r\n", multipart.boundary).into_bytes()
    }
}

fn octets(span: &Range<u64>) -> u64 {
    span.end.saturating_sub(span.start)
}
