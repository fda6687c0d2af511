//! Targets without a fuzzer: their seeds are understood, and inputs that once broke them no longer do.

#[test]
fn seeds_are_understood() {
    let mut strange = Vec::new();
    for target in fuzz::TARGETS {
        let seeds = fuzz::seeds::of(target);
        assert!(!seeds.is_empty(), "{} has nothing to begin with", target.name);
        for (name, bytes) in seeds {
            if !(target.run)(&bytes) {
                strange.push(format!("{}/{name}", target.name));
            }
        }
    }
    assert!(strange.is_empty(), "not understood: {strange:?}");
}

#[test]
fn findings_stay_fixed() {
    for target in fuzz::TARGETS {
        for (_, bytes) in fuzz::seeds::findings(target) {
            (target.run)(&bytes);
        }
    }
}

#[test]
fn rubbish_is_survived() {
    for target in fuzz::TARGETS {
        for (_, seed) in fuzz::seeds::of(target) {
            for cut in [0, 1, seed.len() / 3, seed.len() - 1] {
                (target.run)(&seed[..cut]);
                (target.run)(&[&seed[..cut], b"\xff\0\n", &seed[cut..]].concat());
            }
        }
    }
}
