use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// A full grid with one number in every cell, taken apart into what each axis, and each set of axes, adds: the analysis of variance
/// of a balanced design.
///
/// With the grid as the domain and all its cells as likely, it is the functional ANOVA of Hutter et al. (2014), whose random forest
/// is only needed where cells are missing.
#[derive(Clone, Debug)]
pub struct Factorial {
    levels: Vec<usize>,
    /// Around their mean, the last axis fastest.
    centred: Vec<f64>,
    mean: f64,
}

/// What some axes add together, beyond what fewer of them do.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The mean of the cells of each combination of these axes' levels, the last axis fastest.
    pub means: Vec<f64>,
    /// What the combination adds to the mean of all cells and the effects of fewer of these axes; its mean over any axis is 0.
    pub deviations: Vec<f64>,
    /// The product of `levels - 1`.
    pub degrees_of_freedom: usize,
    /// The squared deviations, summed over all cells.
    pub sum_of_squares: f64,
}

impl Factorial {
    /// A grid of axes with so many levels each, its cells with the last axis fastest; none where the cells are not so many, or none.
    ///
    /// ```
    /// use sweep::statistics::Factorial;
    ///
    /// // The columns differ by 2 and the rows by 10: nothing is left to what they do together.
    /// let grid = Factorial::new(vec![2, 2], vec![1.0, 3.0, 11.0, 13.0]).expect("four cells");
    /// assert_eq!(grid.effect(&[0]).deviations, [-5.0, 5.0]);
    /// assert_eq!(grid.effect(&[1]).sum_of_squares, 4.0);
    /// assert_eq!(grid.effect(&[0, 1]).sum_of_squares, 0.0);
    /// ```
    pub fn new(levels: Vec<usize>, cells: Vec<f64>) -> Option<Self> {
        let count = levels
            .iter()
            .try_fold(1usize, |product, n| product.checked_mul(*n))?;
        if count == 0 || count != cells.len() {
            return None;
        }
        let mean = cells.iter().sum::<f64>() / count as f64;
        Some(Self {
            levels,
            centred: cells.into_iter().map(|cell| cell - mean).collect(),
            mean,
        })
    }

    /// The squared deviations of all cells from their mean, summed: what the effects of all sets of axes add up to.
    pub fn total(&self) -> f64 {
        self.centred.iter().map(|cell| cell * cell).sum()
    }

    /// The effect of some axes, in ascending order.
    pub fn effect(&self, axes: &[usize]) -> Effect {
        let means = self.means(axes);
        let mut deviations = means.clone();
        // From all subsets of the axes, the whole one left out, take their own effects off.
        for subset in 0..(1usize << axes.len()) - 1 {
            let chosen: Vec<usize> = (0..axes.len()).filter(|i| subset >> i & 1 == 1).collect();
            let fewer: Vec<usize> = chosen.iter().map(|i| axes[*i]).collect();
            // The mean of all cells is 0: they are centred.
            if fewer.is_empty() {
                continue;
            }
            let own = self.effect(&fewer).deviations;
            for (index, deviation) in deviations.iter_mut().enumerate() {
                *deviation -= own[self.project(index, axes, &fewer)];
            }
        }
        let cells = (self.centred.len() / means.len()) as f64;
        Effect {
            degrees_of_freedom: axes.iter().map(|axis| self.levels[*axis] - 1).product(),
            sum_of_squares: cells * deviations.iter().map(|d| d * d).sum::<f64>(),
            means: means.iter().map(|mean| mean + self.mean).collect(),
            deviations,
        }
    }

    /// What some axes add alone and together: the squared deviations of their combinations' means, summed over all cells.
    pub fn between(&self, axes: &[usize]) -> f64 {
        let means = self.means(axes);
        (self.centred.len() / means.len()) as f64 * means.iter().map(|mean| mean * mean).sum::<f64>()
    }

    /// The means of the centred cells of each combination of levels.
    fn means(&self, axes: &[usize]) -> Vec<f64> {
        let all: Vec<usize> = (0..self.levels.len()).collect();
        let count: usize = axes.iter().map(|axis| self.levels[*axis]).product();
        let mut sums = vec![0.0; count];
        for (index, cell) in self.centred.iter().enumerate() {
            sums[self.project(index, &all, axes)] += cell;
        }
        let cells = (self.centred.len() / count) as f64;
        sums.into_iter().map(|sum| sum / cells).collect()
    }

    /// Where a combination of the levels of `axes` lies among those of `fewer` of them.
    fn project(&self, mut index: usize, axes: &[usize], fewer: &[usize]) -> usize {
        let (mut place, mut stride) = (0, 1);
        for axis in axes.iter().rev() {
            let level = index % self.levels[*axis];
            index /= self.levels[*axis];
            if fewer.contains(axis) {
                place += level * stride;
                stride *= self.levels[*axis];
            }
        }
        place
    }
}

/// How often a ratio of mean squares as large as `f`, or larger, comes of no effect (Fisher's F); none where it is no ratio.
///
/// ```
/// use sweep::statistics::f_test;
///
/// // Of 2 and d degrees of freedom it is (1 + 2 f / d)^(-d / 2).
/// assert!((f_test(4.0, 2, 10).expect("a ratio") - 1.8f64.powi(-5)).abs() < 1e-12);
/// ```
pub fn f_test(f: f64, degrees_of_freedom: usize, of_noise: usize) -> Option<f64> {
    let distribution = FisherSnedecor::new(degrees_of_freedom as f64, of_noise as f64).ok()?;
    (f >= 0.0).then(|| distribution.sf(f))
}
