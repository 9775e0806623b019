use burn::tensor::Tensor;

pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = x.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

pub(crate) fn linear_tied(x: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    x.matmul(embedding.transpose())
}
