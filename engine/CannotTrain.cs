namespace Portal.Engine;

/// <summary>
/// The engine cannot go on because of its data or its settings: no usable pair, a wrong model folder, a diverged loss. The message is for
/// the person who started it and says what to do; no stack trace is shown.
/// </summary>
public sealed class CannotTrain : Exception
{
    /// <param name="message">What is wrong, where (file, row, field or step), and what to do.</param>
    public CannotTrain(string message) : base(message) { }

    /// <param name="message">What is wrong, where, and what to do.</param>
    /// <param name="cause">What was caught.</param>
    public CannotTrain(string message, Exception cause) : base(message, cause) { }
}
