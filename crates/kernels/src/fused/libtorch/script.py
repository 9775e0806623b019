class Operations(Module):
  def layer_norm_backward(self,
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    inverse_deviation: Tensor,
    weight: Tensor,
    bias: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    return torch.native_layer_norm_backward(dy, x, torch.size(weight), mean, inverse_deviation, weight, bias, [True, True, True])
  def vector_jacobian_product(self,
    y: Tensor,
    x: Tensor,
    dy: Tensor) -> Tensor:
    dy0 = annotate(List[Optional[Tensor]], [dy])
    return unchecked_cast(Tensor, (torch.autograd.grad([y], [x], dy0))[0])
  def adamw(self,
    theta: List[Tensor],
    g: List[Tensor],
    m: List[Tensor],
    v: List[Tensor],
    t: List[Tensor],
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float) -> NoneType:
    torch._fused_adamw_(theta, g, m, v, annotate(List[Tensor], []), t, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=eps, amsgrad=False, maximize=False)
    return None
