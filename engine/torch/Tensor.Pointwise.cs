using Portal.Torch.Native;
using TorchSharp.Modules;

namespace TorchSharp;

// Element by element: arithmetic, comparison, logic, functions and activations. PyTorch's semantics, name by name.
public static partial class torch
{
    public partial class Tensor
    {
        public Tensor abs() => Ops.abs.T(this);
        public Tensor abs_()
        {
            Ops.abs_.Do(this);
            return this;
        }
        public Tensor absolute() => Ops.absolute.T(this);
        public Tensor absolute_()
        {
            Ops.absolute_.Do(this);
            return this;
        }
        public Tensor acos() => Ops.acos.T(this);
        public Tensor acos_()
        {
            Ops.acos_.Do(this);
            return this;
        }
        public Tensor acosh() => Ops.acosh.T(this);
        public Tensor acosh_()
        {
            Ops.acosh_.Do(this);
            return this;
        }
        public Tensor asin() => Ops.asin.T(this);
        public Tensor asin_()
        {
            Ops.asin_.Do(this);
            return this;
        }
        public Tensor asinh() => Ops.asinh.T(this);
        public Tensor asinh_()
        {
            Ops.asinh_.Do(this);
            return this;
        }
        public Tensor atan() => Ops.atan.T(this);
        public Tensor atan_()
        {
            Ops.atan_.Do(this);
            return this;
        }
        public Tensor atanh() => Ops.atanh.T(this);
        public Tensor atanh_()
        {
            Ops.atanh_.Do(this);
            return this;
        }
        public Tensor ceil() => Ops.ceil.T(this);
        public Tensor ceil_()
        {
            Ops.ceil_.Do(this);
            return this;
        }
        public Tensor cos() => Ops.cos.T(this);
        public Tensor cos_()
        {
            Ops.cos_.Do(this);
            return this;
        }
        public Tensor cosh() => Ops.cosh.T(this);
        public Tensor cosh_()
        {
            Ops.cosh_.Do(this);
            return this;
        }
        public Tensor deg2rad() => Ops.deg2rad.T(this);
        public Tensor deg2rad_()
        {
            Ops.deg2rad_.Do(this);
            return this;
        }
        public Tensor digamma() => Ops.digamma.T(this);
        public Tensor digamma_()
        {
            Ops.digamma_.Do(this);
            return this;
        }
        public Tensor erf() => Ops.erf.T(this);
        public Tensor erf_()
        {
            Ops.erf_.Do(this);
            return this;
        }
        public Tensor erfc() => Ops.erfc.T(this);
        public Tensor erfc_()
        {
            Ops.erfc_.Do(this);
            return this;
        }
        public Tensor erfinv() => Ops.erfinv.T(this);
        public Tensor erfinv_()
        {
            Ops.erfinv_.Do(this);
            return this;
        }
        public Tensor exp() => Ops.exp.T(this);
        public Tensor exp_()
        {
            Ops.exp_.Do(this);
            return this;
        }
        public Tensor exp2() => Ops.exp2.T(this);
        public Tensor exp2_()
        {
            Ops.exp2_.Do(this);
            return this;
        }
        public Tensor expm1() => Ops.expm1.T(this);
        public Tensor expm1_()
        {
            Ops.expm1_.Do(this);
            return this;
        }
        public Tensor floor() => Ops.floor.T(this);
        public Tensor floor_()
        {
            Ops.floor_.Do(this);
            return this;
        }
        public Tensor frac() => Ops.frac.T(this);
        public Tensor frac_()
        {
            Ops.frac_.Do(this);
            return this;
        }
        public Tensor i0() => Ops.i0.T(this);
        public Tensor i0_()
        {
            Ops.i0_.Do(this);
            return this;
        }
        public Tensor lgamma() => Ops.lgamma.T(this);
        public Tensor lgamma_()
        {
            Ops.lgamma_.Do(this);
            return this;
        }
        public Tensor log() => Ops.log.T(this);
        public Tensor log_()
        {
            Ops.log_.Do(this);
            return this;
        }
        public Tensor log10() => Ops.log10.T(this);
        public Tensor log10_()
        {
            Ops.log10_.Do(this);
            return this;
        }
        public Tensor log1p() => Ops.log1p.T(this);
        public Tensor log1p_()
        {
            Ops.log1p_.Do(this);
            return this;
        }
        public Tensor log2() => Ops.log2.T(this);
        public Tensor log2_()
        {
            Ops.log2_.Do(this);
            return this;
        }
        public Tensor neg() => Ops.neg.T(this);
        public Tensor neg_()
        {
            Ops.neg_.Do(this);
            return this;
        }
        public Tensor negative() => Ops.negative.T(this);
        public Tensor positive() => Ops.positive.T(this);
        public Tensor reciprocal() => Ops.reciprocal.T(this);
        public Tensor reciprocal_()
        {
            Ops.reciprocal_.Do(this);
            return this;
        }
        public Tensor relu() => Ops.relu.T(this);
        public Tensor relu_()
        {
            Ops.relu_.Do(this);
            return this;
        }
        public Tensor relu6() => Ops.relu6.T(this);
        public Tensor relu6_()
        {
            Ops.relu6_.Do(this);
            return this;
        }
        public Tensor rsqrt() => Ops.rsqrt.T(this);
        public Tensor rsqrt_()
        {
            Ops.rsqrt_.Do(this);
            return this;
        }
        public Tensor selu() => Ops.selu.T(this);
        public Tensor selu_()
        {
            Ops.selu_.Do(this);
            return this;
        }
        public Tensor sgn() => Ops.sgn.T(this);
        public Tensor sgn_()
        {
            Ops.sgn_.Do(this);
            return this;
        }
        public Tensor sigmoid() => Ops.sigmoid.T(this);
        public Tensor sigmoid_()
        {
            Ops.sigmoid_.Do(this);
            return this;
        }
        public Tensor sign() => Ops.sign.T(this);
        public Tensor sign_()
        {
            Ops.sign_.Do(this);
            return this;
        }
        public Tensor signbit() => Ops.signbit.T(this);
        public Tensor silu() => Ops.silu.T(this);
        public Tensor silu_()
        {
            Ops.silu_.Do(this);
            return this;
        }
        public Tensor sin() => Ops.sin.T(this);
        public Tensor sin_()
        {
            Ops.sin_.Do(this);
            return this;
        }
        public Tensor sinc() => Ops.sinc.T(this);
        public Tensor sinc_()
        {
            Ops.sinc_.Do(this);
            return this;
        }
        public Tensor sinh() => Ops.sinh.T(this);
        public Tensor sinh_()
        {
            Ops.sinh_.Do(this);
            return this;
        }
        public Tensor sqrt() => Ops.sqrt.T(this);
        public Tensor sqrt_()
        {
            Ops.sqrt_.Do(this);
            return this;
        }
        public Tensor square() => Ops.square.T(this);
        public Tensor tan() => Ops.tan.T(this);
        public Tensor tan_()
        {
            Ops.tan_.Do(this);
            return this;
        }
        public Tensor tanh() => Ops.tanh.T(this);
        public Tensor tanh_()
        {
            Ops.tanh_.Do(this);
            return this;
        }
        public Tensor trunc() => Ops.trunc.T(this);
        public Tensor trunc_()
        {
            Ops.trunc_.Do(this);
            return this;
        }
        public Tensor fix() => Ops.fix.T(this);
        public Tensor fix_()
        {
            Ops.fix_.Do(this);
            return this;
        }
        public Tensor rad2deg() => Ops.rad2deg.T(this);
        public Tensor rad2deg_()
        {
            Ops.rad2deg_.Do(this);
            return this;
        }
        public Tensor hardsigmoid() => Ops.hardsigmoid.T(this);
        public Tensor hardsigmoid_()
        {
            Ops.hardsigmoid_.Do(this);
            return this;
        }
        public Tensor hardswish() => Ops.hardswish.T(this);
        public Tensor hardswish_()
        {
            Ops.hardswish_.Do(this);
            return this;
        }
        public Tensor isfinite() => Ops.isfinite.T(this);
        public Tensor isinf() => Ops.isinf.T(this);
        public Tensor isnan() => Ops.isnan.T(this);
        public Tensor isneginf() => Ops.isneginf.T(this);
        public Tensor isposinf() => Ops.isposinf.T(this);
        public Tensor isreal() => Ops.isreal.T(this);
        public Tensor logical_not() => Ops.logical_not.T(this);
        public Tensor logical_not_()
        {
            Ops.logical_not_.Do(this);
            return this;
        }
        public Tensor bitwise_not() => Ops.bitwise_not.T(this);
        public Tensor bitwise_not_()
        {
            Ops.bitwise_not_.Do(this);
            return this;
        }
        public Tensor angle() => Ops.angle.T(this);
        public Tensor conj() => Ops.conj.T(this);
        public Tensor log_sigmoid() => Ops.log_sigmoid.T(this);
        public Tensor add(Tensor target) => Ops.add_Tensor.T(this, target);
        public Tensor add(Tensor target, Scalar alpha) => Ops.add_Tensor.T(this, target, alpha);
        public Tensor add(Scalar scalar) => Ops.add_Scalar.T(this, scalar);
        public Tensor add(Scalar scalar, Scalar alpha) => Ops.add_Scalar.T(this, scalar, alpha);
        public Tensor add_(Tensor target)
        {
            Ops.add__Tensor.Do(this, target);
            return this;
        }
        public Tensor add_(Tensor target, Scalar alpha)
        {
            Ops.add__Tensor.Do(this, target, alpha);
            return this;
        }
        public Tensor add_(Scalar scalar)
        {
            Ops.add__Scalar.Do(this, scalar);
            return this;
        }
        public Tensor add_(Scalar scalar, Scalar alpha)
        {
            Ops.add__Scalar.Do(this, scalar, alpha);
            return this;
        }
        public Tensor sub(Tensor target) => Ops.sub_Tensor.T(this, target);
        public Tensor sub(Scalar target) => Ops.sub_Scalar.T(this, target);
        public Tensor sub_(Tensor target)
        {
            Ops.sub__Tensor.Do(this, target);
            return this;
        }
        public Tensor sub_(Scalar target)
        {
            Ops.sub__Scalar.Do(this, target);
            return this;
        }
        public Tensor subtract(Tensor target) => Ops.sub_Tensor.T(this, target);
        public Tensor subtract(Scalar target) => Ops.sub_Scalar.T(this, target);
        public Tensor subtract_(Tensor target)
        {
            Ops.sub__Tensor.Do(this, target);
            return this;
        }
        public Tensor subtract_(Scalar target)
        {
            Ops.sub__Scalar.Do(this, target);
            return this;
        }
        public Tensor mul(Tensor target) => Ops.mul_Tensor.T(this, target);
        public Tensor mul(Scalar target) => Ops.mul_Scalar.T(this, target);
        public Tensor mul_(Tensor target)
        {
            Ops.mul__Tensor.Do(this, target);
            return this;
        }
        public Tensor mul_(Scalar target)
        {
            Ops.mul__Scalar.Do(this, target);
            return this;
        }
        public Tensor multiply(Tensor target) => Ops.mul_Tensor.T(this, target);
        public Tensor multiply(Scalar target) => Ops.mul_Scalar.T(this, target);
        public Tensor div(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None ? Ops.div_Tensor.T(this, target) : Ops.div_Tensor_mode.T(this, target, rounding_mode.ToString());
        public Tensor div(Scalar target, RoundingMode rounding_mode = RoundingMode.None) => rounding_mode == RoundingMode.None ? Ops.div_Scalar.T(this, target) : Ops.div_Scalar_mode.T(this, target, rounding_mode.ToString());
        public Tensor div_(Tensor target, RoundingMode rounding_mode = RoundingMode.None)
        {
            Ops.div__Tensor_mode.Do(this, target, rounding_mode == RoundingMode.None ? Arg.None : rounding_mode.ToString());
            return this;
        }
        public Tensor div_(Scalar target, RoundingMode rounding_mode = RoundingMode.None)
        {
            Ops.div__Scalar_mode.Do(this, target, rounding_mode == RoundingMode.None ? Arg.None : rounding_mode.ToString());
            return this;
        }
        public Tensor divide(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => div(target, rounding_mode);
        public Tensor divide(Scalar target, RoundingMode rounding_mode = RoundingMode.None) => div(target, rounding_mode);
        public Tensor divide_(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => div_(target, rounding_mode);
        public Tensor divide_(Scalar target, RoundingMode rounding_mode = RoundingMode.None) => div_(target, rounding_mode);
        public Tensor true_divide(Tensor other) => Ops.true_divide_Tensor.T(this, other);
        public Tensor true_divide(Scalar other) => Ops.true_divide_Scalar.T(this, other);
        public Tensor true_divide_(Tensor other)
        {
            Ops.true_divide__Tensor.Do(this, other);
            return this;
        }
        public Tensor true_divide_(Scalar other)
        {
            Ops.true_divide__Scalar.Do(this, other);
            return this;
        }
        public Tensor floor_divide(Tensor other) => Ops.floor_divide.T(this, other);
        public Tensor floor_divide(Scalar other) => Ops.floor_divide_Scalar.T(this, other);
        public Tensor floor_divide_(Tensor other)
        {
            Ops.floor_divide__Tensor.Do(this, other);
            return this;
        }
        public Tensor floor_divide_(Scalar other)
        {
            Ops.floor_divide__Scalar.Do(this, other);
            return this;
        }
        public Tensor remainder(Tensor target) => Ops.remainder_Tensor.T(this, target);
        public Tensor remainder(Scalar scalar) => Ops.remainder_Scalar.T(this, scalar);
        public Tensor remainder_(Tensor target)
        {
            Ops.remainder__Tensor.Do(this, target);
            return this;
        }
        public Tensor remainder_(Scalar scalar)
        {
            Ops.remainder__Scalar.Do(this, scalar);
            return this;
        }
        public Tensor fmod(Tensor target) => Ops.fmod_Tensor.T(this, target);
        public Tensor fmod(Scalar scalar) => Ops.fmod_Scalar.T(this, scalar);
        public Tensor fmod_(Tensor target)
        {
            Ops.fmod__Tensor.Do(this, target);
            return this;
        }
        public Tensor fmod_(Scalar scalar)
        {
            Ops.fmod__Scalar.Do(this, scalar);
            return this;
        }
        public Tensor pow(Tensor exponent) => Ops.pow_Tensor_Tensor.T(this, exponent);
        public Tensor pow(Scalar exponent) => Ops.pow_Tensor_Scalar.T(this, exponent);
        public Tensor pow_(Tensor exponent)
        {
            Ops.pow__Tensor.Do(this, exponent);
            return this;
        }
        public Tensor pow_(Scalar exponent)
        {
            Ops.pow__Scalar.Do(this, exponent);
            return this;
        }
        public Tensor float_power(Tensor target) => Ops.float_power_Tensor_Tensor.T(this, target);
        public Tensor addcmul(Tensor tensor1, Tensor tensor2, Scalar value) => Ops.addcmul.T(this, tensor1, tensor2, value);
        public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value)
        {
            Ops.addcmul_.Do(this, tensor1, tensor2, value);
            return this;
        }
        public Tensor addcdiv(Tensor tensor1, Tensor tensor2) => Ops.addcdiv.T(this, tensor1, tensor2);
        public Tensor addcdiv(Tensor tensor1, Tensor tensor2, Scalar value) => Ops.addcdiv.T(this, tensor1, tensor2, value);
        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2)
        {
            Ops.addcdiv_.Do(this, tensor1, tensor2);
            return this;
        }
        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value)
        {
            Ops.addcdiv_.Do(this, tensor1, tensor2, value);
            return this;
        }
        public Tensor lerp(Tensor end, Tensor weight) => Ops.lerp_Tensor.T(this, end, weight);
        public Tensor lerp_(Tensor end, Tensor weight)
        {
            Ops.lerp__Tensor.Do(this, end, weight);
            return this;
        }
        public Tensor clamp(Tensor? min = null, Tensor? max = null) => Ops.clamp_Tensor.T(this, Arg.Opt(min), Arg.Opt(max));
        public Tensor clamp(Scalar? min = null, Scalar? max = null) => Ops.clamp.T(this, min, max);
        public Tensor clamp_(Tensor? min = null, Tensor? max = null)
        {
            Ops.clamp__Tensor.Do(this, Arg.Opt(min), Arg.Opt(max));
            return this;
        }
        public Tensor clamp_(Scalar? min = null, Scalar? max = null)
        {
            Ops.clamp_.Do(this, min, max);
            return this;
        }
        public Tensor clamp_max(Scalar max) => Ops.clamp_max.T(this, max);
        public Tensor clamp_max_(Scalar max)
        {
            Ops.clamp_max_.Do(this, max);
            return this;
        }
        public Tensor clamp_min(Scalar min) => Ops.clamp_min.T(this, min);
        public Tensor clamp_min_(Scalar min)
        {
            Ops.clamp_min_.Do(this, min);
            return this;
        }
        public Tensor clip(Scalar? min = null, Scalar? max = null) => Ops.clamp.T(this, min, max);
        public Tensor maximum(Tensor other) => Ops.maximum.T(this, other);
        public Tensor minimum(Tensor other) => Ops.minimum.T(this, other);
        public Tensor fmax(Tensor other) => Ops.fmax.T(this, other);
        public Tensor fmin(Tensor other) => Ops.fmin.T(this, other);
        public Tensor max(Tensor other) => Ops.max_other.T(this, other);
        public Tensor min(Tensor other) => Ops.min_other.T(this, other);
        public Tensor atan2(Tensor other) => Ops.atan2.T(this, other);
        public Tensor atan2_(Tensor other)
        {
            Ops.atan2_.Do(this, other);
            return this;
        }
        public Tensor arctan2(Tensor other) => Ops.atan2.T(this, other);
        public Tensor hypot(Tensor other) => Ops.hypot.T(this, other);
        public Tensor copysign(Tensor other) => Ops.copysign_Tensor.T(this, other);
        public Tensor logaddexp(Tensor other) => Ops.logaddexp.T(this, other);
        public Tensor logaddexp2(Tensor other) => Ops.logaddexp2.T(this, other);
        public Tensor xlogy(Tensor y) => Ops.xlogy_Tensor.T(this, y);
        public Tensor xlogy(Scalar y) => Ops.xlogy_Scalar_Other.T(this, y);
        public Tensor heaviside(Tensor other) => Ops.heaviside.T(this, other);
        public Tensor nextafter(Tensor other) => Ops.nextafter.T(this, other);
        public Tensor gcd(Tensor other) => Ops.gcd.T(this, other);
        public Tensor lcm(Tensor other) => Ops.lcm.T(this, other);
        public Tensor eq(Tensor target) => Ops.eq_Tensor.T(this, target);
        public Tensor eq(Scalar target) => Ops.eq_Scalar.T(this, target);
        public Tensor eq_(Tensor target)
        {
            Ops.eq__Tensor.Do(this, target);
            return this;
        }
        public Tensor eq_(Scalar target)
        {
            Ops.eq__Scalar.Do(this, target);
            return this;
        }
        public Tensor equal(Tensor target) => Ops.eq_Tensor.T(this, target);
        public Tensor ne(Tensor target) => Ops.ne_Tensor.T(this, target);
        public Tensor ne(Scalar target) => Ops.ne_Scalar.T(this, target);
        public Tensor ne_(Tensor target)
        {
            Ops.ne__Tensor.Do(this, target);
            return this;
        }
        public Tensor ne_(Scalar target)
        {
            Ops.ne__Scalar.Do(this, target);
            return this;
        }
        public Tensor lt(Tensor target) => Ops.lt_Tensor.T(this, target);
        public Tensor lt(Scalar target) => Ops.lt_Scalar.T(this, target);
        public Tensor lt_(Tensor target)
        {
            Ops.lt__Tensor.Do(this, target);
            return this;
        }
        public Tensor lt_(Scalar target)
        {
            Ops.lt__Scalar.Do(this, target);
            return this;
        }
        public Tensor le(Tensor target) => Ops.le_Tensor.T(this, target);
        public Tensor le(Scalar target) => Ops.le_Scalar.T(this, target);
        public Tensor le_(Tensor target)
        {
            Ops.le__Tensor.Do(this, target);
            return this;
        }
        public Tensor le_(Scalar target)
        {
            Ops.le__Scalar.Do(this, target);
            return this;
        }
        public Tensor gt(Tensor target) => Ops.gt_Tensor.T(this, target);
        public Tensor gt(Scalar target) => Ops.gt_Scalar.T(this, target);
        public Tensor gt_(Tensor target)
        {
            Ops.gt__Tensor.Do(this, target);
            return this;
        }
        public Tensor gt_(Scalar target)
        {
            Ops.gt__Scalar.Do(this, target);
            return this;
        }
        public Tensor ge(Tensor target) => Ops.ge_Tensor.T(this, target);
        public Tensor ge(Scalar target) => Ops.ge_Scalar.T(this, target);
        public Tensor ge_(Tensor target)
        {
            Ops.ge__Tensor.Do(this, target);
            return this;
        }
        public Tensor ge_(Scalar target)
        {
            Ops.ge__Scalar.Do(this, target);
            return this;
        }
        public Tensor greater(Tensor target) => Ops.gt_Tensor.T(this, target);
        public Tensor greater_equal(Tensor target) => Ops.ge_Tensor.T(this, target);
        public Tensor less(Tensor target) => Ops.lt_Tensor.T(this, target);
        public Tensor less_equal(Tensor target) => Ops.le_Tensor.T(this, target);
        public Tensor not_equal(Tensor target) => Ops.ne_Tensor.T(this, target);
        public Tensor logical_and(Tensor other) => Ops.logical_and.T(this, other);
        public Tensor logical_and_(Tensor other)
        {
            Ops.logical_and_.Do(this, other);
            return this;
        }
        public Tensor logical_or(Tensor other) => Ops.logical_or.T(this, other);
        public Tensor logical_or_(Tensor other)
        {
            Ops.logical_or_.Do(this, other);
            return this;
        }
        public Tensor logical_xor(Tensor other) => Ops.logical_xor.T(this, other);
        public Tensor logical_xor_(Tensor other)
        {
            Ops.logical_xor_.Do(this, other);
            return this;
        }
        public Tensor bitwise_and(Tensor other) => Ops.bitwise_and_Tensor.T(this, other);
        public Tensor bitwise_and_(Tensor other)
        {
            Ops.bitwise_and__Tensor.Do(this, other);
            return this;
        }
        public Tensor bitwise_or(Tensor other) => Ops.bitwise_or_Tensor.T(this, other);
        public Tensor bitwise_or_(Tensor other)
        {
            Ops.bitwise_or__Tensor.Do(this, other);
            return this;
        }
        public Tensor bitwise_xor(Tensor other) => Ops.bitwise_xor_Tensor.T(this, other);
        public Tensor bitwise_xor_(Tensor other)
        {
            Ops.bitwise_xor__Tensor.Do(this, other);
            return this;
        }
        public Tensor bitwise_left_shift(Tensor other) => Ops.bitwise_left_shift_Tensor.T(this, other);
        public Tensor bitwise_right_shift(Tensor other) => Ops.bitwise_right_shift_Tensor.T(this, other);
        public Tensor isclose(Tensor other, double rtol = 1E-05, double atol = 1E-08, bool nanEqual = false) => Ops.isclose.T(this, other, rtol, atol, nanEqual);
        public bool allclose(Tensor target, double rtol = 1E-05, double atol = 1E-08, bool equal_nan = false) => Ops.allclose.Bool(this, target, rtol, atol, equal_nan);
        public Tensor isin(Tensor test_elements, bool assumeUnique = false, bool invert = false) => Ops.isin_Tensor_Tensor.T(this, test_elements, assumeUnique, invert);
        public bool is_nonzero() => Ops.is_nonzero.Bool(this);
        public Tensor nan_to_num(double nan = 0, double? posinf = null, double? neginf = null) => Ops.nan_to_num.T(this, nan, posinf, neginf);
        public Tensor nan_to_num_(double nan = 0, double? posinf = null, double? neginf = null)
        {
            Ops.nan_to_num_.Do(this, nan, posinf, neginf);
            return this;
        }
        public Tensor round(long decimals = 0) => decimals == 0 ? Ops.round.T(this) : Ops.round_decimals.T(this, decimals);
        public Tensor round_(long decimals = 0)
        {
            Ops.round__decimals.Do(this, decimals);
            return this;
        }
        public Tensor logit(double? eps = null) => Ops.logit.T(this, eps);
        public Tensor gelu() => Ops.gelu.T(this);
        public Tensor gelu(GELU.Approximate approximate) => Ops.gelu.T(this, approximate.ToString());
        public Tensor softplus(double beta = 1, double threshold = 20) => Ops.softplus.T(this, beta, threshold);
        public Tensor leaky_relu(Scalar negative_slope) => Ops.leaky_relu.T(this, negative_slope);
        public Tensor leaky_relu_(Scalar negative_slope)
        {
            Ops.leaky_relu_.Do(this, negative_slope);
            return this;
        }
        public Tensor elu(double alpha = 1) => Ops.elu.T(this, alpha);
        public Tensor hardtanh(Scalar min, Scalar max) => Ops.hardtanh.T(this, min, max);
        public Tensor hardtanh_(Scalar min, Scalar max)
        {
            Ops.hardtanh_.Do(this, min, max);
            return this;
        }
        public Tensor threshold(Scalar threshold, Scalar value) => Ops.threshold.T(this, threshold, value);
        public Tensor threshold_(Scalar threshold, Scalar value)
        {
            Ops.threshold_.Do(this, threshold, value);
            return this;
        }
        public Tensor glu(long dim = -1) => Ops.glu.T(this, dim);
        public Tensor prelu(Tensor target) => Ops.prelu.T(this, target);
        public Tensor igamma(Tensor other) => Ops.igamma.T(this, other);
        public Tensor igammac(Tensor other) => Ops.igammac.T(this, other);
        public Tensor polygamma(long p) => Ops.polygamma.T(p, this);
        public Tensor bucketize(Tensor boundaries, bool outInt32 = false, bool right = false) => Ops.bucketize_Tensor.T(this, boundaries, outInt32, right);
        public Tensor where(Tensor condition, Tensor y) => Ops.where_self.T(condition, this, y);
        public Tensor masked_fill(Tensor mask, Scalar value) => Ops.masked_fill_Scalar.T(this, mask, value);
        public Tensor masked_fill_(Tensor mask, Scalar value)
        {
            Ops.masked_fill__Scalar.Do(this, mask, value);
            return this;
        }
        public Tensor fill_(Scalar value)
        {
            Ops.fill__Scalar.Do(this, value);
            return this;
        }
        public Tensor zero_()
        {
            Ops.zero_.Do(this);
            return this;
        }
    }

    public static Tensor searchsorted(Tensor sorted_sequence, Tensor values, bool out_int32 = false, bool right = false, Tensor? sorter = null) => Ops.searchsorted_Tensor.T(sorted_sequence, values, out_int32, right, Arg.None, Arg.Opt(sorter));
    public static Tensor where(Tensor condition, Tensor x, Tensor y) => Ops.where_self.T(condition, x, y);
    public static Tensor[] where(Tensor condition) => Ops.where.List(condition);
    public static Tensor abs(Tensor input) => input.abs();
    public static Tensor abs_(Tensor input) => input.abs_();
    public static Tensor absolute(Tensor input) => input.absolute();
    public static Tensor absolute_(Tensor input) => input.absolute_();
    public static Tensor acos(Tensor input) => input.acos();
    public static Tensor acos_(Tensor input) => input.acos_();
    public static Tensor acosh(Tensor input) => input.acosh();
    public static Tensor acosh_(Tensor input) => input.acosh_();
    public static Tensor add(Tensor left, Tensor right) => left.add(right);
    public static Tensor add(Tensor left, Tensor right, Scalar alpha) => left.add(right, alpha);
    public static Tensor add(Tensor left, Scalar right) => left.add(right);
    public static Tensor add(Tensor left, Scalar right, Scalar alpha) => left.add(right, alpha);
    public static Tensor add_(Tensor left, Tensor right) => left.add_(right);
    public static Tensor add_(Tensor left, Tensor right, Scalar alpha) => left.add_(right, alpha);
    public static Tensor add_(Tensor left, Scalar right) => left.add_(right);
    public static Tensor add_(Tensor left, Scalar right, Scalar alpha) => left.add_(right, alpha);
    public static Tensor addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value) => input.addcdiv(tensor1, tensor2, value);
    public static Tensor addcdiv_(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value) => input.addcdiv_(tensor1, tensor2, value);
    public static Tensor addcmul(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value) => input.addcmul(tensor1, tensor2, value);
    public static Tensor addcmul_(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value) => input.addcmul_(tensor1, tensor2, value);
    public static bool allclose(Tensor tensor, Tensor target, double rtol = 1E-05, double atol = 1E-08, bool equal_nan = false) => tensor.allclose(target, rtol, atol, equal_nan);
    public static Tensor angle(Tensor input) => input.angle();
    public static Tensor arctan2(Tensor input, Tensor other) => input.arctan2(other);
    public static Tensor asin(Tensor input) => input.asin();
    public static Tensor asin_(Tensor input) => input.asin_();
    public static Tensor asinh(Tensor input) => input.asinh();
    public static Tensor asinh_(Tensor input) => input.asinh_();
    public static Tensor atan(Tensor input) => input.atan();
    public static Tensor atan2(Tensor input, Tensor other) => input.atan2(other);
    public static Tensor atan2_(Tensor input, Tensor other) => input.atan2_(other);
    public static Tensor atan_(Tensor input) => input.atan_();
    public static Tensor atanh(Tensor input) => input.atanh();
    public static Tensor atanh_(Tensor input) => input.atanh_();
    public static Tensor bitwise_and(Tensor left, Tensor right) => left.bitwise_and(right);
    public static Tensor bitwise_and_(Tensor left, Tensor right) => left.bitwise_and_(right);
    public static Tensor bitwise_left_shift(Tensor left, Tensor right) => left.bitwise_left_shift(right);
    public static Tensor bitwise_not(Tensor input) => input.bitwise_not();
    public static Tensor bitwise_not_(Tensor input) => input.bitwise_not_();
    public static Tensor bitwise_or(Tensor left, Tensor right) => left.bitwise_or(right);
    public static Tensor bitwise_or_(Tensor left, Tensor right) => left.bitwise_or_(right);
    public static Tensor bitwise_right_shift(Tensor left, Tensor right) => left.bitwise_right_shift(right);
    public static Tensor bitwise_xor(Tensor left, Tensor right) => left.bitwise_xor(right);
    public static Tensor bitwise_xor_(Tensor left, Tensor right) => left.bitwise_xor_(right);
    public static Tensor bucketize(Tensor input, Tensor boundaries, bool outInt32 = false, bool right = false) => input.bucketize(boundaries, outInt32, right);
    public static Tensor ceil(Tensor input) => input.ceil();
    public static Tensor ceil_(Tensor input) => input.ceil_();
    public static Tensor clamp(Tensor input, Tensor? min = null, Tensor? max = null) => input.clamp(min, max);
    public static Tensor clamp(Tensor input, Scalar? min = null, Scalar? max = null) => input.clamp(min, max);
    public static Tensor clamp_(Tensor input, Tensor? min = null, Tensor? max = null) => input.clamp_(min, max);
    public static Tensor clamp_(Tensor input, Scalar? min = null, Scalar? max = null) => input.clamp_(min, max);
    public static Tensor clamp_max(Tensor input, Scalar max) => input.clamp_max(max);
    public static Tensor clamp_max_(Tensor input, Scalar max) => input.clamp_max_(max);
    public static Tensor clamp_min(Tensor input, Scalar min) => input.clamp_min(min);
    public static Tensor clamp_min_(Tensor input, Scalar min) => input.clamp_min_(min);
    public static Tensor clip(Tensor input, Scalar? min = null, Scalar? max = null) => input.clip(min, max);
    public static Tensor conj(Tensor input) => input.conj();
    public static Tensor copysign(Tensor input, Tensor other) => input.copysign(other);
    public static Tensor cos(Tensor input) => input.cos();
    public static Tensor cos_(Tensor input) => input.cos_();
    public static Tensor cosh(Tensor input) => input.cosh();
    public static Tensor cosh_(Tensor input) => input.cosh_();
    public static Tensor deg2rad(Tensor input) => input.deg2rad();
    public static Tensor deg2rad_(Tensor input) => input.deg2rad_();
    public static Tensor digamma(Tensor input) => input.digamma();
    public static Tensor digamma_(Tensor input) => input.digamma_();
    public static Tensor div(Tensor left, Tensor right, RoundingMode rounding_mode = RoundingMode.None) => left.div(right, rounding_mode);
    public static Tensor div(Tensor left, Scalar right, RoundingMode rounding_mode = RoundingMode.None) => left.div(right, rounding_mode);
    public static Tensor div_(Tensor left, Tensor right, RoundingMode rounding_mode = RoundingMode.None) => left.div_(right, rounding_mode);
    public static Tensor div_(Tensor left, Scalar right, RoundingMode rounding_mode = RoundingMode.None) => left.div_(right, rounding_mode);
    public static Tensor divide(Tensor left, Tensor right, RoundingMode rounding_mode = RoundingMode.None) => left.divide(right, rounding_mode);
    public static Tensor divide(Tensor left, Scalar right, RoundingMode rounding_mode = RoundingMode.None) => left.divide(right, rounding_mode);
    public static Tensor divide_(Tensor left, Tensor right, RoundingMode rounding_mode = RoundingMode.None) => left.divide_(right, rounding_mode);
    public static Tensor eq(Tensor left, Tensor right) => left.eq(right);
    public static Tensor equal(Tensor tensor, Tensor target) => tensor.equal(target);
    public static Tensor erf(Tensor input) => input.erf();
    public static Tensor erf_(Tensor input) => input.erf_();
    public static Tensor erfc(Tensor input) => input.erfc();
    public static Tensor erfc_(Tensor input) => input.erfc_();
    public static Tensor erfinv(Tensor input) => input.erfinv();
    public static Tensor erfinv_(Tensor input) => input.erfinv_();
    public static Tensor exp(Tensor input) => input.exp();
    public static Tensor exp2(Tensor input) => input.exp2();
    public static Tensor exp2_(Tensor input) => input.exp2_();
    public static Tensor exp_(Tensor input) => input.exp_();
    public static Tensor expm1(Tensor input) => input.expm1();
    public static Tensor expm1_(Tensor input) => input.expm1_();
    public static Tensor fix(Tensor input) => input.fix();
    public static Tensor fix_(Tensor input) => input.fix_();
    public static Tensor float_power(Tensor input, Tensor target) => input.float_power(target);
    public static Tensor floor(Tensor input) => input.floor();
    public static Tensor floor_(Tensor input) => input.floor_();
    public static Tensor floor_divide(Tensor input, Tensor other) => input.floor_divide(other);
    public static Tensor floor_divide_(Tensor input, Tensor other) => input.floor_divide_(other);
    public static Tensor fmax(Tensor input, Tensor other) => input.fmax(other);
    public static Tensor fmin(Tensor input, Tensor other) => input.fmin(other);
    public static Tensor fmod(Tensor left, Tensor right) => left.fmod(right);
    public static Tensor fmod(Tensor left, Scalar right) => left.fmod(right);
    public static Tensor fmod_(Tensor left, Tensor right) => left.fmod_(right);
    public static Tensor fmod_(Tensor left, Scalar right) => left.fmod_(right);
    public static Tensor frac(Tensor input) => input.frac();
    public static Tensor frac_(Tensor input) => input.frac_();
    public static Tensor gcd(Tensor left, Tensor right) => left.gcd(right);
    public static Tensor ge(Tensor left, Tensor right) => left.ge(right);
    public static Tensor greater(Tensor tensor, Tensor target) => tensor.greater(target);
    public static Tensor greater_equal(Tensor tensor, Tensor target) => tensor.greater_equal(target);
    public static Tensor gt(Tensor left, Tensor right) => left.gt(right);
    public static Tensor heaviside(Tensor input, Tensor values) => input.heaviside(values);
    public static Tensor hypot(Tensor left, Tensor right) => left.hypot(right);
    public static Tensor i0(Tensor input) => input.i0();
    public static Tensor i0_(Tensor input) => input.i0_();
    public static Tensor igamma(Tensor input, Tensor other) => input.igamma(other);
    public static Tensor igammac(Tensor input, Tensor other) => input.igammac(other);
    public static bool is_nonzero(Tensor input) => input.is_nonzero();
    public static Tensor isclose(Tensor tensor, Tensor other, double rtol = 1E-05, double atol = 1E-08, bool nanEqual = false) => tensor.isclose(other, rtol, atol, nanEqual);
    public static Tensor isfinite(Tensor tensor) => tensor.isfinite();
    public static Tensor isin(Tensor tensor, Tensor test_elements, bool assumeUnique = false, bool invert = false) => tensor.isin(test_elements, assumeUnique, invert);
    public static Tensor isinf(Tensor tensor) => tensor.isinf();
    public static Tensor isnan(Tensor input) => input.isnan();
    public static Tensor isneginf(Tensor tensor) => tensor.isneginf();
    public static Tensor isposinf(Tensor tensor) => tensor.isposinf();
    public static Tensor isreal(Tensor tensor) => tensor.isreal();
    public static Tensor lcm(Tensor input, Tensor other) => input.lcm(other);
    public static Tensor le(Tensor left, Tensor right) => left.le(right);
    public static Tensor lerp(Tensor input, Tensor end, Tensor weight) => input.lerp(end, weight);
    public static Tensor less(Tensor tensor, Tensor target) => tensor.less(target);
    public static Tensor less_equal(Tensor tensor, Tensor target) => tensor.less_equal(target);
    public static Tensor lgamma(Tensor input) => input.lgamma();
    public static Tensor lgamma_(Tensor input) => input.lgamma_();
    public static Tensor log(Tensor input) => input.log();
    public static Tensor log10(Tensor input) => input.log10();
    public static Tensor log10_(Tensor input) => input.log10_();
    public static Tensor log1p(Tensor input) => input.log1p();
    public static Tensor log1p_(Tensor input) => input.log1p_();
    public static Tensor log2(Tensor input) => input.log2();
    public static Tensor log2_(Tensor input) => input.log2_();
    public static Tensor log_(Tensor input) => input.log_();
    public static Tensor logaddexp(Tensor left, Tensor right) => left.logaddexp(right);
    public static Tensor logaddexp2(Tensor left, Tensor right) => left.logaddexp2(right);
    public static Tensor logical_and(Tensor left, Tensor right) => left.logical_and(right);
    public static Tensor logical_and_(Tensor left, Tensor right) => left.logical_and_(right);
    public static Tensor logical_not(Tensor input) => input.logical_not();
    public static Tensor logical_or(Tensor left, Tensor right) => left.logical_or(right);
    public static Tensor logical_or_(Tensor left, Tensor right) => left.logical_or_(right);
    public static Tensor logical_xor(Tensor left, Tensor right) => left.logical_xor(right);
    public static Tensor logical_xor_(Tensor left, Tensor right) => left.logical_xor_(right);
    public static Tensor logit(Tensor input, double? eps = null) => input.logit(eps);
    public static Tensor lt(Tensor left, Tensor right) => left.lt(right);
    public static Tensor max(Tensor input, Tensor other) => input.max(other);
    public static Tensor maximum(Tensor input, Tensor other) => input.maximum(other);
    public static Tensor min(Tensor input, Tensor other) => input.min(other);
    public static Tensor minimum(Tensor input, Tensor other) => input.minimum(other);
    public static Tensor mul(Tensor left, Tensor right) => left.mul(right);
    public static Tensor mul(Tensor left, Scalar right) => left.mul(right);
    public static Tensor mul_(Tensor left, Tensor right) => left.mul_(right);
    public static Tensor mul_(Tensor left, Scalar right) => left.mul_(right);
    public static Tensor multiply(Tensor left, Tensor right) => left.multiply(right);
    public static Tensor multiply(Tensor left, Scalar right) => left.multiply(right);
    public static Tensor nan_to_num(Tensor input, double nan = 0, double? posinf = null, double? neginf = null) => input.nan_to_num(nan, posinf, neginf);
    public static Tensor nan_to_num_(Tensor input, double nan = 0, double? posinf = null, double? neginf = null) => input.nan_to_num_(nan, posinf, neginf);
    public static Tensor ne(Tensor left, Tensor right) => left.ne(right);
    public static Tensor neg(Tensor input) => input.neg();
    public static Tensor neg_(Tensor input) => input.neg_();
    public static Tensor negative(Tensor input) => input.negative();
    public static Tensor nextafter(Tensor input, Tensor other) => input.nextafter(other);
    public static Tensor not_equal(Tensor tensor, Tensor target) => tensor.not_equal(target);
    public static Tensor polygamma(Tensor input, long p) => input.polygamma(p);
    public static Tensor positive(Tensor input) => input.positive();
    public static Tensor pow(Tensor left, Tensor exponent) => left.pow(exponent);
    public static Tensor pow(Tensor left, Scalar exponent) => left.pow(exponent);
    public static Tensor pow_(Tensor left, Tensor exponent) => left.pow_(exponent);
    public static Tensor pow_(Tensor left, Scalar exponent) => left.pow_(exponent);
    public static Tensor rad2deg(Tensor input) => input.rad2deg();
    public static Tensor rad2deg_(Tensor input) => input.rad2deg_();
    public static Tensor reciprocal(Tensor input) => input.reciprocal();
    public static Tensor reciprocal_(Tensor input) => input.reciprocal_();
    public static Tensor remainder(Tensor left, Tensor right) => left.remainder(right);
    public static Tensor remainder(Tensor left, Scalar right) => left.remainder(right);
    public static Tensor remainder_(Tensor left, Tensor right) => left.remainder_(right);
    public static Tensor remainder_(Tensor left, Scalar right) => left.remainder_(right);
    public static Tensor round(Tensor input, long decimals = 0) => input.round(decimals);
    public static Tensor round_(Tensor input, long decimals = 0) => input.round_(decimals);
    public static Tensor rsqrt(Tensor input) => input.rsqrt();
    public static Tensor rsqrt_(Tensor input) => input.rsqrt_();
    public static Tensor sgn(Tensor input) => input.sgn();
    public static Tensor sgn_(Tensor input) => input.sgn_();
    public static Tensor sigmoid(Tensor input) => input.sigmoid();
    public static Tensor sigmoid_(Tensor input) => input.sigmoid_();
    public static Tensor sign(Tensor input) => input.sign();
    public static Tensor sign_(Tensor input) => input.sign_();
    public static Tensor signbit(Tensor input) => input.signbit();
    public static Tensor sin(Tensor input) => input.sin();
    public static Tensor sin_(Tensor input) => input.sin_();
    public static Tensor sinc(Tensor input) => input.sinc();
    public static Tensor sinc_(Tensor input) => input.sinc_();
    public static Tensor sinh(Tensor input) => input.sinh();
    public static Tensor sinh_(Tensor input) => input.sinh_();
    public static Tensor sqrt(Tensor input) => input.sqrt();
    public static Tensor sqrt_(Tensor input) => input.sqrt_();
    public static Tensor square(Tensor input) => input.square();
    public static Tensor sub(Tensor left, Tensor right) => left.sub(right);
    public static Tensor sub(Tensor left, Scalar right) => left.sub(right);
    public static Tensor sub_(Tensor left, Tensor right) => left.sub_(right);
    public static Tensor sub_(Tensor left, Scalar right) => left.sub_(right);
    public static Tensor subtract(Tensor left, Tensor right) => left.subtract(right);
    public static Tensor subtract(Tensor left, Scalar right) => left.subtract(right);
    public static Tensor subtract_(Tensor left, Tensor right) => left.subtract_(right);
    public static Tensor subtract_(Tensor left, Scalar right) => left.subtract_(right);
    public static Tensor tan(Tensor input) => input.tan();
    public static Tensor tan_(Tensor input) => input.tan_();
    public static Tensor tanh(Tensor input) => input.tanh();
    public static Tensor tanh_(Tensor input) => input.tanh_();
    public static Tensor true_divide(Tensor dividend, Tensor divisor) => dividend.true_divide(divisor);
    public static Tensor true_divide_(Tensor dividend, Tensor divisor) => dividend.true_divide_(divisor);
    public static Tensor trunc(Tensor input) => input.trunc();
    public static Tensor trunc_(Tensor input) => input.trunc_();
    public static Tensor xlogy(Tensor x, Tensor y) => x.xlogy(y);
    public static Tensor xlogy(Tensor x, Scalar y) => x.xlogy(y);
}
