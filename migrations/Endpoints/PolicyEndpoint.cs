using System.Text.Json.Serialization;

namespace Portal.Data.Endpoints;

/// <summary>
/// A model elsewhere that answers as a policy: an address that speaks OpenAI's API, what it is asked for, its key (encrypted), and whether texts of
/// people may be sent to it.
/// </summary>
/// <remarks>
/// Key and consent belong to the address: another address drops both, so that nobody can send a stored key to a place of their own, and a word given about
/// one place is not taken for another. The key is never read back: only the engine opens it (<see cref="EndpointSecrets"/>), and pages show whether there is one.
/// </remarks>
public sealed class PolicyEndpoint
{
    public const int NameLengthMax = 120;
    public const int BaseUrlLengthMax = 500;
    public const int ModelLengthMax = 200;
    public const int TimeoutSecondsMax = 600;
    public const int ParallelRequestsMax = 32;
    public const int RetriesMax = 8;

    public required PolicyEndpointId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required Guid CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Unique in the project, retired ones included.</summary>
    public string Name { get; private set; } = "";

    /// <summary>As <see cref="EndpointAddress"/> writes it: no slash at the end, <c>/completions</c> or <c>/chat/completions</c> comes after it.</summary>
    public string BaseUrl { get; private set; } = "";

    /// <summary>What requests call the model.</summary>
    public string Model { get; private set; } = "";

    public EndpointApi Api { get; private set; } = EndpointApi.ChatCompletions;

    /// <summary>Log-probabilities are asked for.</summary>
    public bool AsksLogProbs { get; private set; }

    /// <summary>Seconds that one request may take, 1 to 600.</summary>
    public int TimeoutSeconds { get; private set; } = 60;

    /// <summary>Requests under way at once, 1 to 32.</summary>
    public int ParallelRequests { get; private set; } = 4;

    /// <summary>Tries after the first one, 0 to 8.</summary>
    public int Retries { get; private set; } = 4;

    /// <summary>The key as <see cref="EndpointSecrets"/> seals it; null where none was given.</summary>
    [JsonIgnore]
    public byte[]? SealedKey { get; private set; }

    /// <summary>True where a key is stored.</summary>
    public bool HasKey => SealedKey is not null;

    /// <summary>The admin who agreed that texts of annotators may leave this machine for this address; null: nobody.</summary>
    public Guid? ConsentBy { get; private set; }

    /// <summary>When; null: not given.</summary>
    public DateTimeOffset? ConsentAt { get; private set; }

    /// <summary>True where texts of people may be sent.</summary>
    public bool HasConsent => ConsentAt is not null;

    /// <summary>When it last answered a trial; null: never, or not since address, model or kind of API changed.</summary>
    public DateTimeOffset? TriedAt { get; private set; }

    /// <summary>The trial's answer came with log-probabilities of its tokens; null: not tried, or not asked for.</summary>
    public bool? GivesLogProbs { get; private set; }

    /// <summary>The trial got the log-probability of a text it gave (echo); null: not tried, or not asked for.</summary>
    public bool? ScoresGivenTexts { get; private set; }

    /// <summary>When it was taken out of use; null: in use.</summary>
    public DateTimeOffset? RetiredAt { get; private set; }

    /// <summary>Guards against two people changing it at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>Takes checked settings.</summary>
    /// <returns>True where the address is another one, so that key and consent were dropped.</returns>
    /// <exception cref="ArgumentException">The settings were not checked (<see cref="EndpointSettings.Check"/>) or it is retired.</exception>
    public bool Change(EndpointSettings settings)
    {
        if (settings.Check() is { } wrong)
            throw new ArgumentException(wrong.ToString(), nameof(settings));
        if (RetiredAt is not null)
            throw new ArgumentException("A retired endpoint is not changed.", nameof(settings));
        var address = EndpointAddress.Parse(settings.BaseUrl).Value.Text; // checked above
        var moved = BaseUrl.Length > 0 && address != BaseUrl;
        if (moved)
            (SealedKey, ConsentBy, ConsentAt) = (null, null, null);
        if (moved || settings.Model!.Trim() != Model || settings.Api != Api || settings.AsksLogProbs != AsksLogProbs) // a model is there: checked above
            (TriedAt, GivesLogProbs, ScoresGivenTexts) = (null, null, null);
        (Name, BaseUrl, Model, Api, AsksLogProbs) = (settings.Name!.Trim(), address, settings.Model!.Trim(), settings.Api, settings.AsksLogProbs); // checked above
        (TimeoutSeconds, ParallelRequests, Retries) = (settings.TimeoutSeconds, settings.ParallelRequests, settings.Retries);
        RowVersion++;
        return moved;
    }

    /// <summary>Replaces the key, or removes it.</summary>
    /// <param name="sealedKey">Sealed for this endpoint at its present address; null removes.</param>
    public void SetKey(byte[]? sealedKey)
    {
        SealedKey = sealedKey;
        RowVersion++;
    }

    /// <summary>Notes who agreed that texts of annotators may be sent to this address.</summary>
    public void GiveConsent(Guid by, DateTimeOffset at)
    {
        (ConsentBy, ConsentAt) = (by, at);
        RowVersion++;
    }

    /// <summary>Takes the word back; what was sent before stays sent.</summary>
    public void WithdrawConsent()
    {
        (ConsentBy, ConsentAt) = (null, null);
        RowVersion++;
    }

    /// <summary>Notes what a trial that was answered found.</summary>
    public void NoteTrial(bool? givesLogProbs, bool? scoresGivenTexts, DateTimeOffset at)
    {
        (GivesLogProbs, ScoresGivenTexts, TriedAt) = (givesLogProbs, scoresGivenTexts, at);
        RowVersion++;
    }

    /// <summary>Takes it out of use for good and forgets its key. The row stays: results name it.</summary>
    public void Retire(DateTimeOffset at)
    {
        (RetiredAt, SealedKey) = (at, null);
        RowVersion++;
    }
}

/// <summary>Which of OpenAI's two doors is asked.</summary>
public enum EndpointApi
{
    /// <summary>POST …/completions: the model goes on with a text. Base models; the only door that gives the log-probability of a text.</summary>
    Completions = 1,

    /// <summary>POST …/chat/completions: the model answers in a conversation.</summary>
    ChatCompletions = 2,
}

/// <summary>What an admin sets, as typed.</summary>
public sealed record EndpointSettings
{
    public string? Name { get; init; }
    public string? BaseUrl { get; init; }
    public string? Model { get; init; }
    public EndpointApi Api { get; init; } = EndpointApi.ChatCompletions;
    public bool AsksLogProbs { get; init; }
    public int TimeoutSeconds { get; init; } = 60;
    public int ParallelRequests { get; init; } = 4;
    public int Retries { get; init; } = 4;

    /// <summary>Everything that is wrong, each named by its field; null when nothing is.</summary>
    public Refusal? Check()
    {
        var problems = new List<Problem>();
        Line(Name, "name", "Give the endpoint a name.", PolicyEndpoint.NameLengthMax);
        Line(Model, "model", "Name the model as the endpoint's documentation calls it.", PolicyEndpoint.ModelLengthMax);
        if (EndpointAddress.Parse(BaseUrl).Refusal is { } address)
            problems.AddRange(address.Problems);
        if (!Enum.IsDefined(Api))
            problems.Add(new("api", "Choose one of the two kinds of API."));
        Range(TimeoutSeconds, 1, PolicyEndpoint.TimeoutSecondsMax, "timeoutSeconds", "The time limit of a request is {0} to {1} seconds.");
        Range(ParallelRequests, 1, PolicyEndpoint.ParallelRequestsMax, "parallelRequests", "{0} to {1} requests may be under way at once.");
        Range(Retries, 0, PolicyEndpoint.RetriesMax, "retries", "A request is tried again {0} to {1} times.");
        return problems.Count == 0 ? null : new Refusal(problems);

        void Line(string? text, string field, string missing, int lengthMax)
        {
            var line = text?.Trim() ?? "";
            if (line.Length == 0)
                problems.Add(new(field, missing));
            else if (line.Length > lengthMax)
                problems.Add(new(field, $"It has {line.Length} characters; at most {lengthMax} are kept."));
            else if (line.Any(char.IsControl))
                problems.Add(new(field, "It holds a line break or another control character; remove it."));
        }

        void Range(int value, int min, int max, string field, string message)
        {
            if (value < min || value > max)
                problems.Add(new(field, string.Format(System.Globalization.CultureInfo.InvariantCulture, message, min, max)));
        }
    }
}
