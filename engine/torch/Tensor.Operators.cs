using Portal.Torch.Native;

namespace TorchSharp;

// Operators and conversions. == and != compare element by element; test for null with `is null`.
public static partial class torch
{
    public partial class Tensor
    {
        public static Tensor operator +(double left, Tensor right) => Ops.add_Scalar.T(right, left);
        public static Tensor operator +(int left, Tensor right) => Ops.add_Scalar.T(right, left);
        public static Tensor operator +(long left, Tensor right) => Ops.add_Scalar.T(right, left);
        public static Tensor operator +(float left, Tensor right) => Ops.add_Scalar.T(right, left);
        public static Tensor operator +(Tensor left, double right) => Ops.add_Scalar.T(left, right);
        public static Tensor operator +(Tensor left, int right) => Ops.add_Scalar.T(left, right);
        public static Tensor operator +(Tensor left, long right) => Ops.add_Scalar.T(left, right);
        public static Tensor operator +(Tensor left, float right) => Ops.add_Scalar.T(left, right);
        public static Tensor operator +(Tensor left, Tensor right) => Ops.add_Tensor.T(left, right);
        public static Tensor operator +(Tensor left, Scalar right) => Ops.add_Scalar.T(left, right);
        public static Tensor operator +(Scalar left, Tensor right) => Ops.add_Scalar.T(right, left);
        public static Tensor operator &(Tensor left, Tensor right) => Ops.bitwise_and_Tensor.T(left, right);
        public static Tensor operator |(Tensor left, Tensor right) => Ops.bitwise_or_Tensor.T(left, right);
        public static Tensor operator /(double left, Tensor right) => Divided(left, right);
        public static Tensor operator /(int left, Tensor right) => Divided(left, right);
        public static Tensor operator /(long left, Tensor right) => Divided(left, right);
        public static Tensor operator /(float left, Tensor right) => Divided(left, right);
        public static Tensor operator /(Tensor left, double right) => Ops.div_Scalar.T(left, right);
        public static Tensor operator /(Tensor left, int right) => Ops.div_Scalar.T(left, right);
        public static Tensor operator /(Tensor left, long right) => Ops.div_Scalar.T(left, right);
        public static Tensor operator /(Tensor left, float right) => Ops.div_Scalar.T(left, right);
        public static Tensor operator /(Tensor left, Tensor right) => Ops.div_Tensor.T(left, right);
        public static Tensor operator /(Tensor left, Scalar right) => Ops.div_Scalar.T(left, right);
        public static Tensor operator /(Scalar left, Tensor right) => Divided(left, right);
        public static Tensor operator ==(Tensor left, Tensor right) => Ops.eq_Tensor.T(left, right);
        public static Tensor operator ==(Tensor left, Scalar right) => Ops.eq_Scalar.T(left, right);
        public static Tensor operator ==(Scalar left, Tensor right) => Ops.eq_Scalar.T(right, left);
        public static Tensor operator ^(Tensor left, Tensor right) => Ops.bitwise_xor_Tensor.T(left, right);
        public static explicit operator bool(Tensor value) => value.ToBoolean();
        public static explicit operator byte(Tensor value) => value.ToByte();
        public static explicit operator double(Tensor value) => value.ToDouble();
        public static explicit operator short(Tensor value) => value.ToInt16();
        public static explicit operator int(Tensor value) => value.ToInt32();
        public static explicit operator long(Tensor value) => value.ToInt64();
        public static explicit operator sbyte(Tensor value) => value.ToSByte();
        public static explicit operator float(Tensor value) => value.ToSingle();
        public static Tensor operator >(Tensor left, Tensor right) => Ops.gt_Tensor.T(left, right);
        public static Tensor operator >(Tensor left, Scalar right) => Ops.gt_Scalar.T(left, right);
        public static Tensor operator >(Scalar left, Tensor right) => Ops.lt_Scalar.T(right, left);
        public static Tensor operator >=(Tensor left, Tensor right) => Ops.ge_Tensor.T(left, right);
        public static Tensor operator >=(Tensor left, Scalar right) => Ops.ge_Scalar.T(left, right);
        public static Tensor operator >=(Scalar left, Tensor right) => Ops.le_Scalar.T(right, left);
        public static implicit operator Tensor(bool value) => torch.tensor(value);
        public static implicit operator Tensor(bool[] value) => torch.tensor(value);
        public static implicit operator Tensor(byte value) => torch.tensor(value);
        public static implicit operator Tensor(byte[] value) => torch.tensor(value);
        public static implicit operator Tensor(double value) => torch.tensor(value);
        public static implicit operator Tensor(double[] value) => torch.tensor(value);
        public static implicit operator Tensor(short value) => torch.tensor(value);
        public static implicit operator Tensor(short[] value) => torch.tensor(value);
        public static implicit operator Tensor(int value) => torch.tensor(value);
        public static implicit operator Tensor(int[] value) => torch.tensor(value);
        public static implicit operator Tensor(long value) => torch.tensor(value);
        public static implicit operator Tensor(long[] value) => torch.tensor(value);
        public static implicit operator Tensor(sbyte value) => torch.tensor(value);
        public static implicit operator Tensor(sbyte[] value) => torch.tensor(value);
        public static implicit operator Tensor(float value) => torch.tensor(value);
        public static implicit operator Tensor(float[] value) => torch.tensor(value);
        public static implicit operator Tensor(Scalar scalar) => Single(scalar, null, null, false);
        public static Tensor operator !=(Tensor left, Tensor right) => Ops.ne_Tensor.T(left, right);
        public static Tensor operator !=(Tensor left, Scalar right) => Ops.ne_Scalar.T(left, right);
        public static Tensor operator !=(Scalar left, Tensor right) => Ops.ne_Scalar.T(right, left);
        public static Tensor operator <(Tensor left, Tensor right) => Ops.lt_Tensor.T(left, right);
        public static Tensor operator <(Tensor left, Scalar right) => Ops.lt_Scalar.T(left, right);
        public static Tensor operator <(Scalar left, Tensor right) => Ops.gt_Scalar.T(right, left);
        public static Tensor operator <=(Tensor left, Tensor right) => Ops.le_Tensor.T(left, right);
        public static Tensor operator <=(Tensor left, Scalar right) => Ops.le_Scalar.T(left, right);
        public static Tensor operator <=(Scalar left, Tensor right) => Ops.ge_Scalar.T(right, left);
        public static Tensor operator %(Tensor left, double right) => Ops.remainder_Scalar.T(left, right);
        public static Tensor operator %(Tensor left, int right) => Ops.remainder_Scalar.T(left, right);
        public static Tensor operator %(Tensor left, long right) => Ops.remainder_Scalar.T(left, right);
        public static Tensor operator %(Tensor left, float right) => Ops.remainder_Scalar.T(left, right);
        public static Tensor operator %(Tensor left, Tensor right) => Ops.remainder_Tensor.T(left, right);
        public static Tensor operator %(Tensor left, Scalar right) => Ops.remainder_Scalar.T(left, right);
        public static Tensor operator *(double left, Tensor right) => Ops.mul_Scalar.T(right, left);
        public static Tensor operator *(int left, Tensor right) => Ops.mul_Scalar.T(right, left);
        public static Tensor operator *(long left, Tensor right) => Ops.mul_Scalar.T(right, left);
        public static Tensor operator *(float left, Tensor right) => Ops.mul_Scalar.T(right, left);
        public static Tensor operator *(Tensor left, double right) => Ops.mul_Scalar.T(left, right);
        public static Tensor operator *(Tensor left, int right) => Ops.mul_Scalar.T(left, right);
        public static Tensor operator *(Tensor left, long right) => Ops.mul_Scalar.T(left, right);
        public static Tensor operator *(Tensor left, float right) => Ops.mul_Scalar.T(left, right);
        public static Tensor operator *(Tensor left, Tensor right) => Ops.mul_Tensor.T(left, right);
        public static Tensor operator *(Tensor left, Scalar right) => Ops.mul_Scalar.T(left, right);
        public static Tensor operator *(Scalar left, Tensor right) => Ops.mul_Scalar.T(right, left);
        public static Tensor operator ~(Tensor left) => Ops.bitwise_not.T(left);
        public static Tensor operator -(double left, Tensor right) => Ops.rsub_Scalar.T(right, left);
        public static Tensor operator -(int left, Tensor right) => Ops.rsub_Scalar.T(right, left);
        public static Tensor operator -(long left, Tensor right) => Ops.rsub_Scalar.T(right, left);
        public static Tensor operator -(float left, Tensor right) => Ops.rsub_Scalar.T(right, left);
        public static Tensor operator -(Tensor left, double right) => Ops.sub_Scalar.T(left, right);
        public static Tensor operator -(Tensor left, int right) => Ops.sub_Scalar.T(left, right);
        public static Tensor operator -(Tensor left, long right) => Ops.sub_Scalar.T(left, right);
        public static Tensor operator -(Tensor left, float right) => Ops.sub_Scalar.T(left, right);
        public static Tensor operator -(Tensor left, Tensor right) => Ops.sub_Tensor.T(left, right);
        public static Tensor operator -(Tensor left, Scalar right) => Ops.sub_Scalar.T(left, right);
        public static Tensor operator -(Scalar left, Tensor right) => Ops.rsub_Scalar.T(right, left);
        public static Tensor operator -(Tensor tensor) => Ops.neg.T(tensor);

        // As in PyTorch: a number divided by a tensor is the number times the reciprocals.
        private static Tensor Divided(Scalar left, Tensor right)
        {
            using var reciprocal = right.reciprocal();
            return Ops.mul_Scalar.T(reciprocal, left);
        }
    }
}
