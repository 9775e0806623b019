use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Draws initial weights: the same ones for a seed on every device, since none of them comes from the device.
pub(crate) struct Initialiser<'a> {
    generator: ChaCha8Rng,
    /// Each weight draws from a stream of its own, so that no weight depends on another's size.
    stream: u64,
    device: &'a Device,
}

impl<'a> Initialiser<'a> {
    pub(crate) fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(seed),
            stream: 0,
            device,
        }
    }

    pub(crate) fn device(&self) -> &'a Device {
        self.device
    }

    /// A weight of independent draws from N(0, deviation^2).
    pub(crate) fn normal(&mut self, shape: [usize; 2], deviation: f64) -> Param<Tensor<2>> {
        self.generator.set_stream(self.stream);
        self.generator.set_word_pos(0);
        self.stream += 1;
        let mut draw = || {
            let normal: f64 = StandardNormal.sample(&mut self.generator);
            (deviation * normal) as f32
        };
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| draw()).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }
}
