//! The inverse of the normal distribution's cumulative function, by algorithm AS 241 (PPND16) of
//! M. J. Wichura, Applied Statistics 37 (1988), 477-484: as `statistics.NormalDist` of Python has it.

/// Q(p): below it lies the share `p`, above 0 and below 1, of a standard normal distribution. Right to
/// about 16 digits.
pub(super) fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(&CENTRE, r);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let far = match r <= 5.0 {
        true => ratio(&MIDDLE, r - 1.6),
        false => ratio(&TAIL, r - 5.0),
    };
    if q < 0.0 { -far } else { far }
}

/// The coefficients of two polynomials, those of the lowest power first.
type Ratio = [[f64; 8]; 2];

fn ratio([above, below]: &Ratio, r: f64) -> f64 {
    let value = |of: &[f64; 8]| of.iter().rev().fold(0.0, |sum, each| sum * r + each);
    value(above) / value(below)
}

#[allow(clippy::excessive_precision, reason = "as published")]
const CENTRE: Ratio = [
    [
        3.387_132_872_796_366_608_0e0,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083_0e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061_0e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561_0e3,
    ],
];

#[allow(clippy::excessive_precision, reason = "as published")]
const MIDDLE: Ratio = [
    [
        1.423_437_110_749_683_577_34e0,
        4.630_337_846_156_545_295_90e0,
        5.769_497_221_460_691_405_50e0,
        3.647_848_324_763_204_605_04e0,
        1.270_458_252_452_368_382_58e0,
        2.417_807_251_774_506_117_70e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_40e-4,
    ],
    [
        1.0,
        2.053_191_626_637_758_821_87e0,
        1.676_384_830_183_803_849_40e0,
        6.897_673_349_851_000_045_50e-1,
        1.481_039_764_274_800_745_90e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946_00e-4,
        1.050_750_071_644_416_843_24e-9,
    ],
];

#[allow(clippy::excessive_precision, reason = "as published")]
const TAIL: Ratio = [
    [
        6.657_904_643_501_103_777_20e0,
        5.463_784_911_164_114_369_90e0,
        1.784_826_539_917_291_335_80e0,
        2.965_605_718_285_048_912_30e-1,
        2.653_218_952_657_612_309_30e-2,
        1.242_660_947_388_078_438_60e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ],
    [
        1.0,
        5.998_322_065_558_879_376_90e-1,
        1.369_298_809_227_358_053_10e-1,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591_00e-4,
        1.846_318_317_510_054_681_80e-5,
        1.421_511_758_316_445_888_70e-7,
        2.044_263_103_389_939_785_64e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::super::testing::normal;
    use super::*;

    /// As Python's `statistics.NormalDist().inv_cdf` has them: of each of the three parts, and where one
    /// ends.
    const KNOWN: [(f64, f64); 14] = [
        (1.110_223_024_625_156_5e-16, -8.209_536_151_601_386),
        (1e-12, -7.034_483_825_301_132),
        (1.388_794_386_496_402_1e-11, -6.657_904_643_501_102_4),
        (1e-6, -4.753_424_308_822_899),
        (0.01, -2.326_347_874_040_840_8),
        (0.074_999_9, -1.439_532_177_375_900_4),
        (0.075, -1.439_531_470_938_455_7),
        (0.25, -0.674_489_750_196_081_7),
        (0.5, 0.0),
        (0.6, 0.253_347_103_135_799_8),
        (0.925, 1.439_531_470_938_456),
        (0.975, 1.959_963_984_540_053_6),
        (0.999_999, 4.753_424_308_817_089),
        (0.999_999_999_999_999_9, 8.209_536_151_601_386),
    ];

    #[test]
    fn quantiles_are_those_that_are_known() {
        for (p, known) in KNOWN {
            let off = (normal_quantile(p) - known).abs();
            assert!(off <= 4e-16 * known.abs().max(1.0), "{p}: {} for {known}", normal_quantile(p));
        }
    }

    #[test]
    fn it_is_the_inverse_and_the_same_on_either_side() {
        for k in 1..10_000u32 {
            let p = f64::from(k) / 10_000.0;
            assert!((normal(normal_quantile(p)) - p).abs() < 1e-6, "{p}");
            let other = -normal_quantile(1.0 - p);
            assert!((normal_quantile(p) - other).abs() < 1e-11, "{p}");
        }
    }
}
