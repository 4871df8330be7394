//! Loops over registers, written out.

/// Does something for each of the `R` rows, at most twelve. Loops of this length are not always unrolled, and then
/// what should be registers is memory.
macro_rules! rows {
    ($row:ident => $body:block) => { rows!(@ $row $body 0 1 2 3 4 5 6 7 8 9 10 11) };
    (@ $row:ident $body:block $($i:literal)*) => { $( if $i < R { let $row = $i; $body } )* };
}

/// Does something for each of the `P` panels, at most four.
macro_rules! panels {
    ($p:ident => $body:block) => { panels!(@ $p $body 0 1 2 3) };
    (@ $p:ident $body:block $($i:literal)*) => { $( if $i < P { let $p = $i; $body } )* };
}

/// Expands to one call per step of four inputs.
macro_rules! steps {
    ($step:ident: $($s:literal)*) => { $($step!($s);)* };
}

pub(super) use {panels, rows, steps};
