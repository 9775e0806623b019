//! Every algorithm in f64, written from its paper in plain loops.
//!
//! Exponential averages are written out as sums over all gradients so far, so that a recurrence of the rule under test is
//! checked against what it stands for.

#![allow(
    clippy::needless_range_loop,
    reason = "the indices are the papers': steps and elements"
)]

use optimizers::{laws::Case, *};

type Path = Vec<Vec<f64>>;

/// `(1 - beta) sum_i beta^(t - i) x_i`.
fn average(beta: f64, x: &[f64]) -> f64 {
    let weighted = x
        .iter()
        .rev()
        .enumerate()
        .map(|(age, x)| beta.powf(age as f64) * x);
    (1.0 - beta) * weighted.sum::<f64>()
}

/// The average divided by the sum of its weights.
fn corrected(beta: f64, x: &[f64]) -> f64 {
    average(beta, x) / (1.0 - beta.powf(x.len() as f64))
}

fn squares(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x * x).collect()
}

fn sign(x: f64) -> f64 {
    f64::from(x > 0.0) - f64::from(x < 0.0)
}

/// The path of an element-wise method: `step(theta, gradients so far, lrs so far)` gives the next theta. `l2` times the
/// parameter is added to each gradient.
fn elementwise(case: &Case, l2: f64, mut step: impl FnMut(f64, &[f64], &[f64]) -> f64) -> Path {
    let mut path = vec![vec![0.0; case.theta.len()]; case.gradients.len()];
    for i in 0..case.theta.len() {
        let (mut theta, mut seen) = (case.theta[i], Vec::new());
        for t in 0..case.gradients.len() {
            seen.push(case.gradients[t][i] + l2 * theta);
            theta = step(theta, &seen, &case.lrs[..=t]);
            path[t][i] = theta;
        }
    }
    path
}

fn last(x: &[f64]) -> f64 {
    x[x.len() - 1]
}

pub fn sgd(optimizer: &Elementwise<Sgd, 0>, case: &Case) -> Path {
    elementwise(case, optimizer.rule().weight_decay, |theta, g, lr| {
        theta - last(lr) * last(g)
    })
}

pub fn momentum(optimizer: &Elementwise<Momentum, 1>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, p.weight_decay, |theta, g, lr| {
        let velocity: f64 = g
            .iter()
            .rev()
            .enumerate()
            .map(|(age, g)| p.beta.powf(age as f64) * g)
            .sum();
        let step = if p.nesterov {
            last(g) + p.beta * velocity
        } else {
            velocity
        };
        theta - last(lr) * step
    })
}

fn adam_step(beta1: f64, beta2: f64, eps: f64, g: &[f64]) -> f64 {
    corrected(beta1, g) / (corrected(beta2, &squares(g)).sqrt() + eps)
}

pub fn adam(optimizer: &Elementwise<Adam, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, p.weight_decay, |theta, g, lr| {
        theta - last(lr) * adam_step(p.beta1, p.beta2, p.eps, g)
    })
}

pub fn amsgrad(optimizer: &Elementwise<AmsGrad, 3>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, p.weight_decay, |theta, g, lr| {
        let moments = (1..=g.len()).map(|t| average(p.beta2, &squares(&g[..t])));
        let largest = moments.fold(0.0, f64::max) / (1.0 - p.beta2.powf(g.len() as f64));
        theta - last(lr) * corrected(p.beta1, g) / (largest.sqrt() + p.eps)
    })
}

pub fn adamw(optimizer: &Elementwise<AdamW, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, 0.0, |theta, g, lr| {
        let step = adam_step(p.beta1, p.beta2, p.eps, g);
        let decays = !p.cautious || sign(step) * sign(theta) > 0.0;
        let decay = if decays { p.weight_decay * theta } else { 0.0 };
        theta - last(lr) * decay - last(lr) * step
    })
}

pub fn nadam(optimizer: &Elementwise<NAdam, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    let (l2, decoupled) = decay(p.weight_decay, p.decoupled_weight_decay);
    let mu = |t: usize| p.beta1 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * p.momentum_decay));
    elementwise(case, l2, |theta, g, lr| {
        let t = g.len();
        let product: f64 = (1..=t).map(mu).product();
        let ahead = mu(t + 1) * average(p.beta1, g) / (1.0 - product * mu(t + 1));
        let now = (1.0 - mu(t)) * last(g) / (1.0 - product);
        let scale = corrected(p.beta2, &squares(g)).sqrt() + p.eps;
        theta * (1.0 - last(lr) * decoupled) - last(lr) * (ahead + now) / scale
    })
}

/// The weight decay as L2 and as decoupled decay: one of them is 0.
fn decay(weight_decay: f64, decoupled: bool) -> (f64, f64) {
    if decoupled {
        (0.0, weight_decay)
    } else {
        (weight_decay, 0.0)
    }
}

pub fn radam(optimizer: &Elementwise<RAdam, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    let (l2, decoupled) = decay(p.weight_decay, p.decoupled_weight_decay);
    elementwise(case, l2, |theta, g, lr| {
        let t = g.len() as f64;
        let correction = 1.0 - p.beta2.powf(t);
        let rho_inf = 2.0 / (1.0 - p.beta2) - 1.0;
        let rho = rho_inf - 2.0 * t * p.beta2.powf(t) / correction;
        let m = corrected(p.beta1, g);
        let step = if rho > 5.0 {
            let up = (rho - 4.0) * (rho - 2.0) * rho_inf;
            let down = (rho_inf - 4.0) * (rho_inf - 2.0) * rho;
            let adaptive = correction.sqrt() / (average(p.beta2, &squares(g)).sqrt() + p.eps);
            (up / down).sqrt() * m * adaptive
        } else {
            m
        };
        theta * (1.0 - last(lr) * decoupled) - last(lr) * step
    })
}

pub fn adagrad(optimizer: &Elementwise<AdaGrad, 1>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, p.weight_decay, |theta, g, lr| {
        let sum = p.initial_accumulator + squares(g).iter().sum::<f64>();
        let lr = last(lr) / (1.0 + (g.len() - 1) as f64 * p.lr_decay);
        theta - lr * last(g) / (sum.sqrt() + p.eps)
    })
}

pub fn rmsprop(optimizer: &Elementwise<RmsProp, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, p.weight_decay, |theta, g, lr| {
        let normalised =
            (1..=g.len()).map(|t| g[t - 1] / (average(p.alpha, &squares(&g[..t])).sqrt() + p.eps));
        let velocity = normalised.fold(0.0, |velocity, x| p.momentum * velocity + x);
        theta - last(lr) * velocity
    })
}

pub fn lion(optimizer: &Elementwise<Lion, 1>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, 0.0, |theta, g, lr| {
        let (now, before) = g.split_last().unwrap_or((&0.0, &[]));
        let step = sign(p.beta1 * average(p.beta2, before) + (1.0 - p.beta1) * now);
        theta - last(lr) * (step + p.weight_decay * theta)
    })
}

pub fn signum(optimizer: &Elementwise<Signum, 1>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, 0.0, |theta, g, lr| {
        theta - last(lr) * (sign(average(p.beta, g)) + p.weight_decay * theta)
    })
}

pub fn adan(optimizer: &Elementwise<Adan, 4>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, 0.0, |theta, g, lr| {
        let changes: Vec<f64> = (0..g.len())
            .map(|t| if t == 0 { 0.0 } else { g[t] - g[t - 1] })
            .collect();
        let ahead: Vec<f64> = g
            .iter()
            .zip(&changes)
            .map(|(g, d)| (g + p.beta2 * d).powi(2))
            .collect();
        let scale = corrected(p.beta3, &ahead).sqrt() + p.eps;
        let step = (corrected(p.beta1, g) + p.beta2 * corrected(p.beta2, &changes)) / scale;
        (theta - last(lr) * step) / (1.0 + last(lr) * p.weight_decay)
    })
}

pub fn adopt(optimizer: &Elementwise<Adopt, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    elementwise(case, 0.0, |theta, g, lr| {
        let Some((first, rest)) = g.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return theta;
        };
        let (mut m, mut v) = (0.0, first * first);
        for (t, g) in (1..).zip(rest) {
            let limit = f64::from(t).powf(0.25);
            let normalised = (g / v.sqrt().max(p.eps)).clamp(-limit, limit);
            m = p.beta1 * m + (1.0 - p.beta1) * normalised;
            v = p.beta2 * v + (1.0 - p.beta2) * g * g;
        }
        theta - last(lr) * m - last(lr) * p.weight_decay * theta
    })
}

pub fn ademamix(optimizer: &Elementwise<AdEmaMix, 3>, case: &Case) -> Path {
    let p = optimizer.rule();
    let share = |t: usize| {
        if t as u64 >= p.warmup {
            1.0
        } else {
            t as f64 / p.warmup as f64
        }
    };
    // The half-lives, in steps, rise linearly.
    let half_life = |beta: f64| 0.5f64.ln() / beta.ln();
    let beta3 = |t: usize| {
        let steps = (1.0 - share(t)) * half_life(p.beta1) + share(t) * half_life(p.beta3);
        0.5f64.powf(1.0 / steps).min(p.beta3)
    };
    elementwise(case, 0.0, |theta, g, lr| {
        let slow = (1..=g.len()).fold(0.0, |slow, t| beta3(t) * slow + (1.0 - beta3(t)) * g[t - 1]);
        let fast = corrected(p.beta1, g);
        let scale = corrected(p.beta2, &squares(g)).sqrt() + p.eps;
        let step = (fast + share(g.len()) * p.alpha * slow) / scale;
        theta - last(lr) * (step + p.weight_decay * theta)
    })
}

/// With all three sequences of the paper.
pub fn schedule_free_adamw(optimizer: &Elementwise<ScheduleFreeAdamW, 2>, case: &Case) -> Path {
    let p = optimizer.rule();
    let mut path = vec![vec![0.0; case.theta.len()]; case.gradients.len()];
    for i in 0..case.theta.len() {
        let (mut x, mut z, mut y) = (case.theta[i], case.theta[i], case.theta[i]);
        let (mut v, mut weights) = (0.0, 0.0);
        for t in 0..case.gradients.len() {
            let g = case.gradients[t][i];
            v = p.beta2 * v + (1.0 - p.beta2) * g * g;
            let gamma = case.lrs[t] * (1.0 - p.beta2.powf(t as f64 + 1.0)).sqrt();
            z -= gamma * (g / (v.sqrt() + p.eps) + p.weight_decay * y);
            weights += gamma * gamma;
            let c = gamma * gamma / weights;
            x = (1.0 - c) * x + c * z;
            y = (1.0 - p.beta1) * z + p.beta1 * x;
            path[t][i] = y;
        }
    }
    path
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

pub fn adafactor(p: &Adafactor, case: &Case) -> Path {
    let [rows, columns] = case.shape;
    let n = case.theta.len() as f64;
    let (mut r, mut c) = (vec![0.0; rows], vec![0.0; columns]);
    let mut theta = case.theta.clone();
    let mut path = Path::new();
    for (t, (g, &lr)) in (1..).zip(case.gradients.iter().zip(&case.lrs)) {
        let weight = f64::from(t).powf(p.beta2_decay);
        let square = |row: usize, column: usize| g[row * columns + column].powi(2) + p.eps1;
        for (row, r) in r.iter_mut().enumerate() {
            let mean = (0..columns).map(|column| square(row, column)).sum::<f64>() / columns as f64;
            *r = (1.0 - weight) * *r + weight * mean;
        }
        for (column, c) in c.iter_mut().enumerate() {
            let mean = (0..rows).map(|row| square(row, column)).sum::<f64>() / rows as f64;
            *c = (1.0 - weight) * *c + weight * mean;
        }
        let mean = r.iter().sum::<f64>() / rows as f64;
        let scaled = |i: usize| g[i] / (r[i / columns] / mean * c[i % columns]).sqrt();
        let u: Vec<f64> = (0..g.len()).map(scaled).collect();
        let excess = (length(&u) / n.sqrt() / p.clip_threshold).max(1.0);
        let size = (length(&theta) / n.sqrt()).max(p.eps2) * lr.min(1.0 / f64::from(t).sqrt());
        for (theta, u) in theta.iter_mut().zip(&u) {
            *theta = *theta * (1.0 - lr * p.weight_decay) - size * u / excess;
        }
        path.push(theta.clone());
    }
    path
}

/// The Adam step of every element after `t` gradients.
fn adam_steps(beta1: f64, beta2: f64, eps: f64, gradients: &[Vec<f64>]) -> Vec<f64> {
    let element = |i: usize| {
        let g: Vec<f64> = gradients.iter().map(|g| g[i]).collect();
        adam_step(beta1, beta2, eps, &g)
    };
    (0..gradients[0].len()).map(element).collect()
}

pub fn lamb(p: &Lamb, case: &Case) -> Path {
    let mut theta = case.theta.clone();
    let mut path = Path::new();
    for (t, lr) in (1..).zip(&case.lrs) {
        let steps = adam_steps(p.beta1, p.beta2, p.eps, &case.gradients[..t]);
        let r: Vec<f64> = steps
            .iter()
            .zip(&theta)
            .map(|(s, theta)| s + p.weight_decay * theta)
            .collect();
        let trust = match (length(&theta), length(&r)) {
            (wanted, length) if wanted > 0.0 && length > 0.0 => wanted / length,
            _ => 1.0,
        };
        for (theta, r) in theta.iter_mut().zip(&r) {
            *theta -= lr * trust * r;
        }
        path.push(theta.clone());
    }
    path
}

pub fn mars(p: &Mars, case: &Case) -> Path {
    let mut theta = case.theta.clone();
    let (mut path, mut corrected) = (Path::new(), Vec::new());
    for (t, (g, lr)) in case.gradients.iter().zip(&case.lrs).enumerate() {
        let before = &case.gradients[t.saturating_sub(1)];
        let factor = p.gamma * p.beta1 / (1.0 - p.beta1);
        let c: Vec<f64> = g
            .iter()
            .zip(before)
            .map(|(g, before)| g + factor * (g - before))
            .collect();
        let excess = length(&c).max(1.0);
        corrected.push(c.iter().map(|c| c / excess).collect());
        let steps = adam_steps(p.beta1, p.beta2, p.eps, &corrected);
        for (theta, step) in theta.iter_mut().zip(&steps) {
            *theta -= lr * (step + p.weight_decay * *theta);
        }
        path.push(theta.clone());
    }
    path
}

/// A matrix, row by row.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    x: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f64) -> Self {
        let x = (0..rows * columns)
            .map(|i| at(i / columns, i % columns))
            .collect();
        Self { rows, columns, x }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.x[row * self.columns + column]
    }

    fn transposed(&self) -> Self {
        Self::new(self.columns, self.rows, |row, column| self.at(column, row))
    }

    fn times(&self, other: &Self) -> Self {
        Self::new(self.rows, other.columns, |row, column| {
            (0..self.columns)
                .map(|k| self.at(row, k) * other.at(k, column))
                .sum()
        })
    }

    fn combined(&self, a: f64, other: &Self, b: f64) -> Self {
        Self::new(self.rows, self.columns, |row, column| {
            a * self.at(row, column) + b * other.at(row, column)
        })
    }
}

/// The iteration on the matrix as it is: of `x x^T x` it does not matter which product is taken first.
pub fn muon(p: &Muon, case: &Case) -> Path {
    let [rows, columns] = case.shape;
    let mut theta = case.theta.clone();
    let mut path = Path::new();
    for (t, lr) in (1..).zip(&case.lrs) {
        let direction: Vec<f64> = (0..theta.len())
            .map(|i| {
                let g: Vec<f64> = case.gradients[..t].iter().map(|g| g[i]).collect();
                let m = average(p.momentum, &g);
                if p.nesterov {
                    (1.0 - p.momentum) * last(&g) + p.momentum * m
                } else {
                    m
                }
            })
            .collect();
        let size = length(&direction).max(p.eps);
        let mut x = Matrix::new(rows, columns, |row, column| {
            direction[row * columns + column] / size
        });
        for _ in 0..p.ns_steps {
            let cube = x.times(&x.transposed()).times(&x);
            let fifth = x.times(&x.transposed()).times(&cube);
            x = x.combined(3.4445, &cube, -4.775).combined(1.0, &fifth, 2.0315);
        }
        let scale = match p.adjust_lr {
            AdjustLr::Original => (columns as f64 / rows as f64).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamW => 0.2 * (rows.max(columns) as f64).sqrt(),
        };
        for (theta, o) in theta.iter_mut().zip(&x.x) {
            *theta = *theta * (1.0 - lr * p.weight_decay) - lr * scale * o;
        }
        path.push(theta.clone());
    }
    path
}

/// Eigenvectors of a symmetric matrix as columns, by falling eigenvalue, and the eigenvalues: Jacobi's rotations.
fn eigenvectors(matrix: &Matrix) -> (Matrix, Vec<f64>) {
    let n = matrix.rows;
    let mut a = matrix.clone();
    let mut vectors = Matrix::new(n, n, |row, column| f64::from(row == column));
    for _ in 0..60 {
        for p in 0..n {
            for q in p + 1..n {
                let angle = 0.5 * (2.0 * a.at(p, q)).atan2(a.at(q, q) - a.at(p, p));
                let (sin, cos) = angle.sin_cos();
                let rotation = Matrix::new(n, n, |row, column| match (row, column) {
                    (r, c) if r == c && (r == p || r == q) => cos,
                    (r, c) if (r, c) == (p, q) => sin,
                    (r, c) if (r, c) == (q, p) => -sin,
                    (r, c) => f64::from(r == c),
                });
                a = rotation.transposed().times(&a).times(&rotation);
                vectors = vectors.times(&rotation);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a.at(j, j).total_cmp(&a.at(i, i)));
    let sorted = Matrix::new(n, n, |row, column| vectors.at(row, order[column]));
    (sorted, order.iter().map(|&i| a.at(i, i)).collect())
}

/// The columns made orthonormal, one after the other (Gram and Schmidt, twice).
fn orthonormal(matrix: &Matrix) -> Matrix {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for column in 0..matrix.columns {
        let mut x: Vec<f64> = (0..matrix.rows).map(|row| matrix.at(row, column)).collect();
        for _ in 0..2 {
            for other in &columns {
                let along: f64 = x.iter().zip(other).map(|(x, o)| x * o).sum();
                x.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
            }
        }
        let size = length(&x);
        columns.push(x.iter().map(|x| x / size).collect());
    }
    Matrix::new(matrix.rows, matrix.columns, |row, column| columns[column][row])
}

/// The path, and how well its eigenvectors are determined: the least ratio of an eigenvalue's distance from the next, and
/// of the least eigenvalue, to the largest. Of a matrix that is not square some eigenvalues are 0, and their vectors are
/// anybody's choice.
pub fn soap(p: &Soap, case: &Case) -> (Path, f64) {
    let [rows, columns] = case.shape;
    let matrix = |numbers: &[f64]| Matrix::new(rows, columns, |row, column| numbers[row * columns + column]);
    let mut theta = case.theta.clone();
    let mut path = vec![theta.clone()];
    let first = matrix(&case.gradients[0]);
    let weight = 1.0 - p.preconditioner_beta;
    let scaled = |m: &Matrix| m.combined(weight, m, 0.0);
    let (mut left, mut right) = (
        scaled(&first.times(&first.transposed())),
        scaled(&first.transposed().times(&first)),
    );
    let ((mut l, values), (mut r, _)) = (eigenvectors(&left), eigenvectors(&right));
    let gaps = values
        .windows(2)
        .map(|pair| pair[0] - pair[1])
        .chain(values.last().copied());
    let determined = gaps.fold(f64::INFINITY, f64::min) / values[0];

    let zero = first.combined(0.0, &first, 0.0);
    let (mut m, mut v) = (zero.clone(), zero);
    for (t, (g, &lr)) in (1..).zip(case.gradients.iter().zip(&case.lrs).skip(1)) {
        let g = matrix(g);
        m = m.combined(p.beta1, &g, 1.0 - p.beta1);
        let turned = |x: &Matrix, l: &Matrix, r: &Matrix| l.transposed().times(x).times(r);
        let g_turned = turned(&g, &l, &r);
        let square = Matrix::new(rows, columns, |row, column| g_turned.at(row, column).powi(2));
        v = v.combined(p.beta2, &square, 1.0 - p.beta2);
        let m_turned = turned(&m, &l, &r);
        let corrections = (1.0 - p.beta1.powf(f64::from(t)), 1.0 - p.beta2.powf(f64::from(t)));
        let step = Matrix::new(rows, columns, |row, column| {
            m_turned.at(row, column) / corrections.0 / ((v.at(row, column) / corrections.1).sqrt() + p.eps)
        });
        let step = l.times(&step).times(&r.transposed());
        for (theta, step) in theta.iter_mut().zip(&step.x) {
            *theta -= lr * (step + p.weight_decay * *theta);
        }
        path.push(theta.clone());

        left = left.combined(p.preconditioner_beta, &g.times(&g.transposed()), weight);
        right = right.combined(p.preconditioner_beta, &g.transposed().times(&g), weight);
        if u64::from(t as u32) % p.frequency == 0 {
            (l, r) = (orthonormal(&left.times(&l)), orthonormal(&right.times(&r)));
        }
    }
    (path, determined)
}
